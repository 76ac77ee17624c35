// A gRPC server as its developer writes it, with grpc-js; nothing in it knows of Portico.
// usage: node grpc-server.mjs PORT
import grpc from '@grpc/grpc-js';
import { definition } from './grpc-demo.mjs';

const server = new grpc.Server();
server.addService(definition, {
  Echo: (call, answer) => {
    const meta = new grpc.Metadata();
    meta.set('x-cosmos-block-height', '7');
    call.sendMetadata(meta);
    answer(null, `${call.request} ${call.metadata.get('x-cosmos-block-height')}`);
  },
  Fail: (call, answer) => answer({ code: grpc.status.NOT_FOUND, details: `no ${call.request} here: 100 %` }),
  Never: () => {},
  Count: (call) => {
    for (let number = 1; number <= Number(call.request); number += 1) call.write(String(number));
    call.end();
  },
  Sum: (call, answer) => answer({ code: grpc.status.UNIMPLEMENTED }),
});
server.bindAsync(`127.0.0.1:${process.argv[2]}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
