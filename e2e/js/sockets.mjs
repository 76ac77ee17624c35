// dApps that listen to a chain over WebSockets, with viem and ethers; the only Portico in them is the URL.
// usage: node sockets.mjs GATEWAY NODE CLIENTS ROLLOVERS
//   GATEWAY  http URL of the gateway, NODE that of the node itself, which is made to make blocks; CLIENTS of each library.
// Blocks are made until the gateway has replaced suppliers' sockets under all of the clients' at ROLLOVERS sessions' ends. Then every client must have
// been told every block, and every log, once and in order, on the socket that it opened. Prints one JSON line, exits non-zero on the first surprise.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { WebSocketProvider } from 'ethers';
import { createPublicClient, webSocket } from 'viem';
import { hardhat } from 'viem/chains';

globalThis.WebSocket ??= WebSocket;

const [gateway, node, count, rollovers] = [process.argv[2], process.argv[3], ...process.argv.slice(4).map(Number)];
const url = `${gateway.replace('http', 'ws')}/v1/anvil`;
const ask = async (method, params = []) => {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const answer = await (await fetch(node, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).json();
  assert.ok(answer.error === undefined, JSON.stringify(answer));
  return answer.result;
};
const metric = async (name) => {
  const text = await (await fetch(`${gateway}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(name));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').pop()), 0);
};
const until = async (what, holds) => {
  const deadline = Date.now() + 90_000;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `not in time: ${what()}`);
    await new Promise((later) => setTimeout(later, 50));
  }
};

// A contract that emits an empty log whenever it is called.
const [account] = await ask('eth_accounts');
const deployed = await ask('eth_sendTransaction', [{ from: account, data: '0x6560006000a0006000526006601af3' }]);
const { contractAddress: address } = await ask('eth_getTransactionReceipt', [deployed]);
// Each call is a block with one log.
const mine = () => ask('eth_sendTransaction', [{ from: account, to: address }]);

const clients = [];
for (let index = 0; index < count; index += 1) {
  const heads = [], logs = [];
  // viem shares a socket among clients of the same URL.
  const viem = createPublicClient({ chain: hardhat, transport: webSocket(`${url}?viem=${index}`, { reconnect: false }) });
  const failed = (error) => assert.fail(`viem ${index}: ${error}`);
  const heard = (list) => ({ result }) => list.push(result);
  await viem.transport.subscribe({ params: ['newHeads'], onData: heard(heads), onError: failed });
  await viem.transport.subscribe({ params: ['logs', { address }], onData: heard(logs), onError: failed });
  clients.push({ name: `viem ${index}`, heads: () => heads.map((head) => Number(head.number)), logs: () => logs.map((log) => Number(log.blockNumber)) });
}
for (let index = 0; index < count; index += 1) {
  const heads = [], logs = [];
  const ethers = new WebSocketProvider(`${url}?ethers=${index}`);
  await ethers.getNetwork(); // it takes no event before it knows
  await ethers.on('block', (number) => heads.push(number));
  await ethers.on({ address }, (log) => logs.push(log.blockNumber));
  await ethers.getBlockNumber(); // after the subscriptions, on the same socket
  clients.push({ name: `ethers ${index}`, heads: () => heads, logs: () => logs });
}
const sockets = await metric('gateway_websockets ');
assert.equal(sockets, clients.length);

// From the first head on none may be missed: until then nobody knows where a subscription begins.
await until(() => 'a first head for everybody', async () => {
  await mine();
  return clients.every((client) => client.heads().length > 0 && client.logs().length > 0);
});

const rebinds = () => metric('gateway_websocket_rebinds_total{cause="session"}');
const before = await rebinds();
const first = Number(await ask('eth_blockNumber')) + 1;
const wanted = before + clients.length * rollovers;
const deadline = Date.now() + 100_000;
while ((await rebinds()) < wanted) {
  assert.ok(Date.now() < deadline, `${await rebinds()} of ${wanted} sockets were replaced`);
  await mine();
}
await mine(); // also for who was about to be replaced

const last = Number(await ask('eth_blockNumber'));
const expected = Array.from({ length: last - first + 1 }, (_, index) => first + index);
const late = () => clients.filter((client) => client.heads().at(-1) !== last || client.logs().at(-1) !== last);
await until(() => `${late().map((client) => `${client.name}: head ${client.heads().at(-1)}, log ${client.logs().at(-1)}`).join(', ')} of ${last}`, () => late().length === 0);
for (const client of clients) {
  const since = (numbers) => numbers.filter((number) => number >= first);
  assert.deepEqual(since(client.heads()), expected, `heads of ${client.name}`);
  assert.deepEqual(since(client.logs()), expected, `logs of ${client.name}`);
}
assert.equal(await metric('gateway_websockets_closed_total'), 0, 'closed sockets');
assert.equal(await metric('gateway_websockets '), clients.length);

console.log(JSON.stringify({ ok: true, clients: clients.length, blocks: expected.length, rebinds: (await rebinds()) - before }));
process.exit(0);
