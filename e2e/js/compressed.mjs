// A dApp that reads answers large enough that the proxy before the node compresses them.
// Its batches are sent whole: the node's own answer to each arrives byte for byte.
// usage: node compressed.mjs SERVICE_URL NODE_URL ACCESS_LOG; prints one JSON line, exits non-zero on the first surprise.
//   NODE_URL is that of the node itself; the proxy logs a line per request: its method, the status, how the answer was compressed.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import WebSocket from 'ws';

const [url, node, log] = process.argv.slice(2);
const late = setTimeout(() => { console.error('nothing within 60 s'); process.exit(1); }, 60_000);

/** What `to` answers, as its bytes came. */
const post = async (to, body, coding) => {
  const headers = { 'content-type': 'application/json', 'accept-encoding': coding };
  const sent = request(to, { method: 'POST', headers });
  sent.end(body);
  const [answer] = await once(sent, 'response');
  const bytes = await buffer(answer);
  assert.equal(answer.statusCode, 200, bytes.toString());
  return { coding: answer.headers['content-encoding'] ?? 'identity', bytes };
};
const call = (id, method, params) => JSON.stringify({ jsonrpc: '2.0', id, method, params });
const told = async (method, params) => JSON.parse((await post(node, call(1, method, params), 'identity')).bytes).result;

// A contract whose code is 20,000 bytes that hardly compress, but as hexadecimal digits: PUSH2 length DUP1 PUSH1 12 PUSH1 0 CODECOPY PUSH1 0 RETURN, and the code.
const digest = (index) => createHash('sha256').update(`${index}`).digest('hex');
const code = `00${Array.from({ length: 625 }, (_, index) => digest(index)).join('').slice(2)}`;
const [from] = await told('eth_accounts', []);
const deployed = await told('eth_sendTransaction', [{ from, data: `0x614e2080600c6000396000f3${code}`, gas: '0xf42400' }]);
const { contractAddress, blockNumber } = await told('eth_getTransactionReceipt', [deployed]);

const calls = [
  call(7, 'eth_getCode', [contractAddress, 'latest']),
  call('block', 'eth_getBlockByNumber', [blockNumber, true]),
  call(8, 'eth_chainId', []), // too small to be worth it
];
calls.push(`[${calls.join(',')}]`);
const logged = (line) => readFileSync(log, 'utf8').split('\n').filter((other) => other.startsWith(line)).length;
const compressed = () => logged('POST 200 gzip');

let read = 0;
for (const body of calls) {
  const itself = (await post(node, body, 'identity')).bytes.toString();
  for (const coding of ['gzip', 'identity']) {
    const [before, asked] = [compressed(), logged('POST')];
    const answer = await post(url, body, coding);
    const large = itself.length > 1_400; // below that the gateway leaves an answer as it is
    assert.equal(answer.coding, large ? coding : 'identity', body);
    const bytes = answer.coding === 'gzip' ? gunzipSync(answer.bytes) : answer.bytes;
    assert.equal(bytes.toString(), itself, `${coding}: ${body}`);
    if (large) assert.ok(compressed() > before, `the proxy did not compress for ${coding}: ${body}`);
    assert.equal(logged('POST') - asked, 1, `the node is asked once, of a batch too: ${body}`);
    read += bytes.length;
  }
}

// Over a WebSocket, which the proxy passes on, the same.
const answers = async (to) => {
  const socket = new WebSocket(to.replace('http', 'ws'));
  await once(socket, 'open');
  const frames = [];
  for (const body of calls) {
    socket.send(body);
    const [frame] = await once(socket, 'message');
    frames.push(frame.toString());
  }
  socket.close();
  return frames;
};
const [relayed, itself] = [await answers(url), await answers(node)];
assert.ok(relayed[0].length > code.length);
assert.deepEqual(relayed, itself);
assert.ok(readFileSync(log, 'utf8').includes('GET 101 '), 'the socket went by the proxy');

clearTimeout(late);
console.log(JSON.stringify({ ok: true, compressed: compressed(), bytes: read }));
process.exit(0);
