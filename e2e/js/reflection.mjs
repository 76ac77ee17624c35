// A gRPC client that has no protos: everything it knows, it asks the node for by reflection.
// usage: node reflection.mjs GRPC_ADDRESS APPLICATION SERVICE; prints one JSON line, exits non-zero on the first surprise.
import assert from 'node:assert/strict';
import grpc from '@grpc/grpc-js';
import { GrpcReflection } from 'grpc-js-reflection-client';

const [address, application, service] = process.argv.slice(2);
const credentials = grpc.ChannelCredentials.createInsecure();
const reflection = new GrpcReflection(address, credentials);

const services = await reflection.listServices();
for (const name of ['application', 'gateway', 'supplier', 'service', 'session', 'shared', 'proof', 'tokenomics']) {
  assert.ok(services.includes(`pocket.${name}.Query`), `pocket.${name}.Query is not among ${services}`);
}
for (const name of ['cosmos.auth.v1beta1.Query', 'cosmos.bank.v1beta1.Query', 'cosmos.tx.v1beta1.Service']) {
  assert.ok(services.includes(name), `${name} is not among ${services}`);
}

// Every service can be described, and every method of it is answered: at worst with an error of its own.
const unary = (client, method, request) => new Promise((resolve, reject) => {
  client[method](request, (error, answer) => (error ? reject(error) : resolve(answer)));
});
let methods = 0;
for (const name of services.filter((name) => !name.startsWith('grpc.'))) {
  const description = await reflection.getDescriptorBySymbol(name);
  const type = name.split('.').reduce((scope, part) => scope[part], description.getPackageObject({ keepCase: true, longs: String }));
  const client = new type(address, credentials);
  for (const method of Object.keys(type.service)) {
    const outcome = await unary(client, method, {}).catch((error) => error);
    assert.notEqual(outcome.code, grpc.status.UNIMPLEMENTED, `${name}/${method}`);
    methods += 1;
  }
}

// A session, by a client built from what reflection told.
const description = await reflection.getDescriptorBySymbol('pocket.session.Query');
const { pocket } = description.getPackageObject({ keepCase: true, longs: String });
const client = new pocket.session.Query(address, credentials);
const { session } = await unary(client, 'GetSession', { application_address: application, service_id: service });
assert.equal(session.header.application_address, application);
assert.match(session.session_id, /^[0-9a-f]{64}$/);
assert.ok(session.suppliers.length >= 1);
const missing = await unary(client, 'GetSession', { application_address: 'nobody', service_id: service }).catch((error) => error);
assert.equal(missing.code, grpc.status.INVALID_ARGUMENT);

console.log(JSON.stringify({ ok: true, services: services.length, methods, session: session.session_id }));
process.exit(0);
