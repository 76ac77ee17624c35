// A dApp that calls over gRPC, with grpc-js, and over gRPC-Web, with fetch; the only Portico in it is the address, and the service's name.
// usage: node grpc.mjs HOST:PORT; prints one JSON line, exits non-zero on the first surprise.
import assert from 'node:assert/strict';
import grpc from '@grpc/grpc-js';
import { definition } from './grpc-demo.mjs';

const address = process.argv[2];
const Client = grpc.makeGenericClientConstructor(definition, 'Demo');
const client = new Client(address, grpc.credentials.createInsecure());
const metadata = (fields = {}) => {
  const meta = new grpc.Metadata();
  meta.set('target-service-id', 'anvil');
  for (const [name, value] of Object.entries(fields)) meta.set(name, value);
  return meta;
};
const call = (name, request, fields, options = {}) =>
  new Promise((resolve) => {
    let head;
    const sent = client[name](request, metadata(fields), { deadline: Date.now() + 60_000, ...options }, (error, answer) => resolve({ error, answer, head }));
    sent.on('metadata', (got) => { head = got; });
  });

// Answered, with metadata both ways.
const echo = await call('Echo', 'hello', { 'x-cosmos-block-height': '5' });
assert.equal(echo.error, null);
assert.equal(echo.answer, 'hello 5');
assert.deepEqual(echo.head.get('x-cosmos-block-height'), ['7']);
assert.match(echo.head.get('x-supplier-address')[0], /^pokt1/);

// The node's own status and text.
const fail = await call('Fail', 'luck');
assert.equal(fail.error.code, grpc.status.NOT_FOUND);
assert.equal(fail.error.details, 'no luck here: 100 %');

// A method that nobody has: as the node says.
const missing = await new Promise((resolve) => {
  client.makeUnaryRequest('/demo.Demo/Missing', definition.Echo.requestSerialize, definition.Echo.responseDeserialize, 'x', metadata(), (error) => resolve(error));
});
assert.equal(missing.code, grpc.status.UNIMPLEMENTED);

// A service that the gateway has not: its own status.
const unknown = await call('Echo', 'hello', { 'target-service-id': 'nosuch' });
assert.equal(unknown.error.code, grpc.status.NOT_FOUND);

// The caller's deadline is the node's.
const late = await call('Never', 'x', {}, { deadline: Date.now() + 300 });
assert.equal(late.error.code, grpc.status.DEADLINE_EXCEEDED);

// What comes of a stream of answers: each with the time of its coming, the status, the trailers.
const read = (stream, enough = Infinity) =>
  new Promise((resolve) => {
    const seen = { answers: [], times: [] };
    stream.on('data', (answer) => {
      seen.answers.push(answer);
      seen.times.push(Date.now());
      if (seen.answers.length === enough) stream.cancel();
    });
    stream.on('error', () => {}); // told by the status too
    stream.on('status', (status) => resolve({ ...seen, status }));
  });

// A stream of answers comes as its node goes on, with the node's trailers behind it.
const counted = await read(client.Count('4', metadata()));
assert.deepEqual(counted.answers, ['1', '2', '3', '4']);
assert.equal(counted.status.code, grpc.status.OK);
assert.deepEqual(counted.status.metadata.get('x-cosmos-block-height'), ['9']);
assert.ok(counted.times[3] - counted.times[0] >= 300, `they come one by one: ${counted.times}`);

// What its node ends it with, is what its caller gets.
const broken = await read(client.Breaks('x', metadata()));
assert.deepEqual(broken.answers, ['1', '2']);
assert.equal(broken.status.code, grpc.status.ABORTED);
assert.equal(broken.status.details, 'no more: 100 %');

// A caller may leave, and its deadline ends what has no end.
const left = await read(client.Endless('x', metadata()), 2);
assert.deepEqual(left.answers.slice(0, 2), ['1', '2']);
assert.equal(left.status.code, grpc.status.CANCELLED);
const ended = await read(client.Endless('x', metadata(), { deadline: Date.now() + 1500 }));
assert.ok(ended.answers.length >= 2, `${ended.answers}`);
assert.equal(ended.status.code, grpc.status.DEADLINE_EXCEEDED);

// All of a stream of requests belongs to one relay.
const summed = await new Promise((resolve) => {
  const sum = client.Sum(metadata(), (error, answer) => resolve({ error, answer }));
  sum.write('1');
  sum.write('2');
  sum.end();
});
assert.equal(summed.error, null);
assert.equal(summed.answer, '3');
const said = client.Chat(metadata());
said.write('a');
said.write('b');
said.end();
assert.deepEqual((await read(said)).answers, ['you said a', 'you said b']);

// gRPC-Web, as browsers send it: the trailers are the body's last frame.
const message = Buffer.from('web');
const prefix = Buffer.alloc(5);
prefix.writeUInt32BE(message.length, 1);
const web = await fetch(`http://${address}/v1/anvil/demo.Demo/Echo`, {
  method: 'POST',
  headers: { 'content-type': 'application/grpc-web+proto', 'x-grpc-web': '1' },
  body: Buffer.concat([prefix, message]),
});
assert.equal(web.status, 200);
assert.equal(web.headers.get('content-type'), 'application/grpc-web+proto');
const body = Buffer.from(await web.arrayBuffer());
const length = body.readUInt32BE(1);
assert.equal(body.subarray(5, 5 + length).toString(), 'web ');
const trailers = body.subarray(5 + length);
assert.equal(trailers[0], 0x80);
assert.match(trailers.subarray(5).toString(), /^grpc-status: 0\r\n/);

// Who waits for answers before it has said everything is told that this is not relayed; last, since it takes
// seconds, in which the session may end.
const turns = client.Chat(metadata(), { deadline: Date.now() + 30_000 });
turns.write('a');
const refused = await read(turns);
assert.equal(refused.status.code, grpc.status.UNIMPLEMENTED, refused.status.details);
client.close();

console.log(JSON.stringify({ ok: true }));
process.exit(0);
