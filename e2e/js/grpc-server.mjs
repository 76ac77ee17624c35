// A gRPC server as its developer writes it, with grpc-js; nothing in it knows of Portico.
// usage: node grpc-server.mjs PORT
import grpc from '@grpc/grpc-js';
import { definition } from './grpc-demo.mjs';

const pause = () => new Promise((resolve) => { setTimeout(resolve, 200); });
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
  // One message each 200 ms.
  Count: async (call) => {
    for (let number = 1; number <= Number(call.request); number += 1) {
      if (number > 1) await pause();
      call.write(String(number));
    }
    const trailers = new grpc.Metadata();
    trailers.set('x-cosmos-block-height', '9');
    call.end(trailers);
  },
  Breaks: (call) => {
    call.write('1');
    call.write('2');
    call.emit('error', { code: grpc.status.ABORTED, details: 'no more: 100 %' });
  },
  Endless: async (call) => {
    for (let number = 1; !call.cancelled; number += 1) {
      call.write(String(number));
      await pause();
    }
  },
  Sum: (call, answer) => {
    let sum = 0;
    call.on('data', (number) => { sum += Number(number); });
    call.on('end', () => answer(null, String(sum)));
  },
  Chat: (call) => {
    call.on('data', (text) => call.write(`you said ${text}`));
    call.on('end', () => call.end());
  },
});
server.bindAsync(`127.0.0.1:${process.argv[2]}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
