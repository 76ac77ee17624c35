// A dApp on a Cosmos chain as its developer writes it, with CosmJS over HTTP and a WebSocket; the only Portico in it is the URL.
// usage: KEY=hex node cosmos.mjs SERVICE_URL RECIPIENT ROLLOVERS; prints one JSON line, exits non-zero on the first surprise.
//   It listens until the gateway has replaced the supplier's socket under its own at so many sessions' ends.
import assert from 'node:assert/strict';
import { fromHex, toHex } from '@cosmjs/encoding';
import { DirectSecp256k1Wallet } from '@cosmjs/proto-signing';
import { SigningStargateClient } from '@cosmjs/stargate';
import { Comet38Client, HttpClient, WebsocketClient } from '@cosmjs/tendermint-rpc';

const [url, recipient, rollovers] = [...process.argv.slice(2, 4), Number(process.argv[4])];
const late = setTimeout(() => { console.error('nothing within 60 s'); process.exit(1); }, 60_000);
const rebinds = async () => {
  const text = await (await fetch(new URL('/metrics', url))).text();
  const line = text.split('\n').find((line) => line.startsWith('gateway_websocket_rebinds_total{cause="session"}'));
  return Number(line?.split(' ').pop() ?? 0);
};

const comet = await Comet38Client.create(new HttpClient(url));
const failed = (error) => { console.error(error); process.exit(1); };
const socket = new WebsocketClient(url.replace('http', 'ws'), failed);
const live = await Comet38Client.create(socket);

// The same answers over both.
const { syncInfo: { latestBlockHeight: height }, nodeInfo: { network } } = await live.status();
const [block, same] = await Promise.all([comet.block(height), live.block(height)]);
assert.deepEqual(same, block);
assert.equal(block.block.header.chainId, network);
await assert.rejects(live.block(height + 1_000_000), /height/);

// Blocks until sockets were replaced: each once, and in order.
const heights = [], txs = [];
live.subscribeNewBlockHeader().subscribe({ next: (header) => heights.push(header.height), error: failed });
const wallet = await DirectSecp256k1Wallet.fromKey(fromHex(process.env.KEY), 'pokt');
const [{ address: sender }] = await wallet.getAccounts();
live.subscribeTx(`message.sender='${sender}'`).subscribe({ next: (tx) => txs.push(toHex(tx.hash).toUpperCase()), error: failed });
const before = await rebinds();
while (heights.length === 0 || (await rebinds()) < before + rollovers) await new Promise((later) => setTimeout(later, 100));

// A payment, asked for over HTTP and told on the socket, whose subscriptions are another supplier's by now.
const client = await SigningStargateClient.createWithSigner(comet, wallet, { broadcastPollIntervalMs: 100 });
const coin = (amount) => ({ denom: 'upokt', amount: String(amount) });
const sent = await client.sendTokens(sender, recipient, [coin(42)], { amount: [coin(1)], gas: '200000' });
assert.equal(sent.code, 0, sent.rawLog);
while (txs.length === 0 || heights.at(-1) < sent.height) await new Promise((later) => setTimeout(later, 50));
assert.deepEqual(txs, [sent.transactionHash]);
assert.ok(heights.every((height, index) => index === 0 || height > heights[index - 1]), `${heights}`);

clearTimeout(late);
console.log(JSON.stringify({ ok: true, blocks: heights.length, rebinds: (await rebinds()) - before }));
process.exit(0); // the library's socket connects again after a disconnect, and would keep the process
