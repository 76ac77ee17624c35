// The service of grpc-server.mjs and grpc.mjs. Messages are text.
const text = { serialize: (value) => Buffer.from(value), deserialize: (bytes) => bytes.toString() };
const method = (name, requestStream = false, responseStream = false) => ({
  path: `/demo.Demo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: text.serialize,
  requestDeserialize: text.deserialize,
  responseSerialize: text.serialize,
  responseDeserialize: text.deserialize,
});
export const definition = {
  Echo: method('Echo'),
  Fail: method('Fail'),
  Never: method('Never'),
  Count: method('Count', false, true),
  Breaks: method('Breaks', false, true),
  Endless: method('Endless', false, true),
  Sum: method('Sum', true, false),
  Chat: method('Chat', true, true),
};
