// Many clients that follow blocks and logs over WebSockets, beside one that asks the node itself. Nothing in them knows of Portico but the URL.
// usage: node feeds.mjs GATEWAY NODE CLIENTS ROLLOVERS PID
//   GATEWAY  http URL of the gateway, NODE that of an anvil; CLIENTS sockets with two subscriptions each, over ROLLOVERS sessions' ends.
//   PID      a servicer's process, which is killed half-way; then the newest blocks are replaced by others.
// Every client must be told every block and log that the one at the node is told, from the block after its subscription on, once and in that order, on
// the socket that it opened; and which of the logs that it was told are gone with their blocks. Prints one JSON line, exits non-zero on the first surprise.
import assert from 'node:assert/strict';
import WebSocket from 'ws';

const [gateway, node] = process.argv.slice(2, 4);
const [count, rollovers, victim] = process.argv.slice(4).map(Number);
const REORG_DEPTH = 3;
const BLOCK_MS = 400;

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
const pause = (ms) => new Promise((later) => setTimeout(later, ms));
const until = async (what, ms, holds) => {
  const deadline = Date.now() + ms;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `not in time: ${await what()}`);
    await pause(50);
  }
};

// A contract that emits an empty log whenever it is called.
const [account] = await ask('eth_accounts');
const deployed = await ask('eth_sendTransaction', [{ from: account, data: '0x6560006000a0006000526006601af3' }]);
await until(() => 'the contract', 10_000, async () => (await ask('eth_getTransactionReceipt', [deployed])) !== null);
const { contractAddress: address } = await ask('eth_getTransactionReceipt', [deployed]);
// Each call is a block with one log.
const mine = async () => {
  await ask('eth_sendTransaction', [{ from: account, to: address }]);
  await pause(BLOCK_MS);
};

class Feed {
  constructor(name, url) {
    Object.assign(this, { name, heads: [], logs: [], others: [], known: {} });
    this.socket = new WebSocket(url);
    this.socket.on('close', (code, reason) => { if (!this.done) this.failed = `closed with ${code} ${reason}`; });
    this.socket.on('error', (error) => { this.failed = `${error}`; });
    this.ready = new Promise((ready, failed) => {
      this.socket.on('open', () => {
        this.send(1, ['newHeads']);
        this.send(2, ['logs', { address }]);
      });
      this.socket.on('message', (data) => {
        const message = JSON.parse(data);
        if (message.id !== undefined) {
          if (typeof message.result !== 'string') return failed(new Error(`${name}: ${data}`));
          this.known[message.result] = message.id;
          if (Object.keys(this.known).length === 2) ready();
          return;
        }
        const { subscription, result } = message.params;
        // A block is known by its hash, a log by block and place, and whether it is taken back.
        if (message.method !== 'eth_subscription') this.others.push(String(data));
        else if (this.known[subscription] === 1) this.heads.push(`${Number(result.number)} ${result.hash}`);
        else if (this.known[subscription] === 2) this.logs.push(`${Number(result.blockNumber)} ${result.blockHash} ${Number(result.logIndex)} ${result.removed === true}`);
        else this.others.push(String(data));
      });
    });
  }

  send(id, params) {
    this.socket.send(JSON.stringify({ jsonrpc: '2.0', id, method: 'eth_subscribe', params }));
  }
}

const control = new Feed('the node itself', node.replace('http', 'ws'));
await control.ready;
const clients = [];
for (let index = 0; index < count; index += 1) {
  const client = new Feed(`client ${index}`, `${gateway.replace('http', 'ws')}/v1/anvil?client=${index}`);
  await client.ready;
  clients.push(client);
}
const intact = () => {
  for (const feed of [control, ...clients]) assert.ok(!feed.failed, `${feed.name}: ${feed.failed}`);
};
assert.equal(await metric('gateway_websockets '), count);

const rebinds = () => metric('gateway_websocket_rebinds_total{cause="session"}');
const [before, told] = [await rebinds(), { heads: control.heads.length, logs: control.logs.length }];
// Nobody was told a block yet when the first of them moves on.
await until(() => 'a first rollover', 120_000, async () => (await rebinds()) > before);
let [killed, reorganized] = [false, false];
const patience = Date.now() + 120_000 + rollovers * 60_000;
while ((await rebinds()) - before < count * rollovers) {
  assert.ok(Date.now() < patience, `${(await rebinds()) - before} of ${count * rollovers} sockets were replaced`);
  await mine();
  intact();
  const passed = ((await rebinds()) - before) / count;
  if (!killed && passed >= rollovers / 2 - 0.5) {
    process.kill(victim, 'SIGKILL');
    killed = true;
  } else if (killed && !reorganized) {
    for (let block = 0; block < REORG_DEPTH; block += 1) await mine();
    await ask('anvil_reorg', [REORG_DEPTH, []]);
    reorganized = true;
  }
}
await mine(); // also for who was about to be replaced
assert.ok(killed && reorganized);

const wanted = { heads: control.heads.slice(told.heads), logs: control.logs.slice(told.logs) };
const late = () => clients.filter((client) => client.heads.at(-1) !== wanted.heads.at(-1) || !client.logs.includes(wanted.logs.at(-1)));
const lateness = () => late().slice(0, 5).map((client) => `${client.name} heard ${client.heads.at(-1)}, ${client.logs.at(-1)}`).join('; ');
await until(() => `${lateness()} instead of ${wanted.heads.at(-1)}, ${wanted.logs.at(-1)}`, 60_000, () => { intact(); return late().length === 0; });
const same = (told, wanted, what) => {
  const at = told.findIndex((one, index) => one !== wanted[index]);
  const around = (list) => list.slice(Math.max(0, at - 2), at + 6).join('\n  ');
  assert.equal(at, -1, `${what}, from ${at} on:\n  ${around(told)}\ninstead of\n  ${around(wanted)}`);
  assert.equal(told.length, wanted.length, `${what} end before ${wanted[told.length]}`);
};
// The chain as it is now, and what was replaced of it. Who had no supplier just then need not hear of a block that is gone.
const [from, to] = [Number(wanted.heads[0].split(' ')[0]), Number(wanted.heads.at(-1).split(' ')[0])];
const hashes = new Set();
for (let number = from; number <= to; number += 1) hashes.add((await ask('eth_getBlockByNumber', [`0x${number.toString(16)}`, false])).hash);
const stays = (one) => hashes.has(one.split(' ')[1]);
const replaced = wanted.heads.filter((head) => !stays(head));
assert.equal(replaced.length, REORG_DEPTH);
for (const client of clients) {
  same(client.heads.filter(stays), wanted.heads.filter(stays), `heads of ${client.name}`);
  const others = client.heads.filter((head) => !stays(head));
  same(others, replaced.filter((head) => others.includes(head)), `replaced heads of ${client.name}`);
  // Anvil takes no log back when it replaces blocks; whose supplier changes afterwards is told which of its logs are gone.
  const [removed, logs] = [true, false].map((is) => client.logs.filter((log) => log.endsWith('true') === is));
  same(logs.filter(stays), wanted.logs.filter(stays), `logs of ${client.name}`);
  const gone = logs.filter((log) => !stays(log));
  same(gone, wanted.logs.filter((log) => gone.includes(log)), `replaced logs of ${client.name}`);
  same(removed, gone.map((log) => log.replace('false', 'true')), `logs taken back of ${client.name}`);
  assert.deepEqual(client.others, [], `what else ${client.name} was told`);
}
assert.equal(await metric('gateway_websockets_closed_total'), 0, 'closed sockets');
assert.equal(await metric('gateway_websockets '), clients.length);

console.log(JSON.stringify({ ok: true, clients: count, blocks: wanted.heads.length, logs: wanted.logs.length, rebinds: (await rebinds()) - before, lost: await metric('gateway_websocket_rebinds_total') - (await rebinds()) }));
process.exit(0);
