// The chain as a Cosmos developer uses it, with CosmJS: queries, a payment, a staked application, subscriptions.
// usage: KEY=hex node chain.mjs RPC_URL RECIPIENT GATEWAY PROTO_FOLDER; prints one JSON line, exits non-zero on the first surprise.
import assert from 'node:assert/strict';
import path from 'node:path';
import { sha256 } from '@cosmjs/crypto';
import { fromHex, toHex } from '@cosmjs/encoding';
import { DirectSecp256k1Wallet, Registry } from '@cosmjs/proto-signing';
import { SigningStargateClient, defaultRegistryTypes } from '@cosmjs/stargate';
import { Comet38Client, HttpClient, WebsocketClient } from '@cosmjs/tendermint-rpc';
import protobuf from 'protobufjs';

const [rpc, recipient, gateway, protos] = process.argv.slice(2);
const wallet = await DirectSecp256k1Wallet.fromKey(fromHex(process.env.KEY), 'pokt');
const [{ address: sender }] = await wallet.getAccounts();

// The application's messages, from the project's own protos.
const root = new protobuf.Root();
root.resolvePath = (_, target) => path.join(protos, target);
root.loadSync('pocket/application/application.proto');
const registry = new Registry(defaultRegistryTypes);
for (const name of ['MsgStakeApplication', 'MsgDelegateToGateway']) {
  registry.register(`/pocket.application.${name}`, root.lookupType(`pocket.application.${name}`));
}

const comet = await Comet38Client.create(new HttpClient(rpc));
const client = await SigningStargateClient.createWithSigner(comet, wallet, { registry, broadcastPollIntervalMs: 100 });
const upokt = (amount) => ({ denom: 'upokt', amount: String(amount) });
const fee = { amount: [upokt(1)], gas: '2000000' };
const balance = async (address) => BigInt((await client.getBalance(address, 'upokt')).amount);

// Queries: status, headers, validators, accounts; hashes hold together.
const status = await comet.status();
const chainId = await client.getChainId();
assert.equal(status.nodeInfo.network, chainId);
assert.ok((await client.getHeight()) >= 1);
const height = (await comet.status()).syncInfo.latestBlockHeight;
const [block, commit, validators, results] = await Promise.all([
  comet.block(height), comet.commit(height), comet.validatorsAll(height), comet.blockResults(height),
]);
assert.equal(block.block.header.height, height);
assert.deepEqual(block.blockId.hash, commit.commit.blockId.hash);
assert.equal(results.height, height);
for (const validator of validators.validators) {
  assert.deepEqual(validator.address, sha256(validator.pubkey.data).slice(0, 20));
}
const addresses = validators.validators.map((validator) => toHex(validator.address));
assert.ok(addresses.includes(toHex(block.block.header.proposerAddress)));
assert.deepEqual(commit.commit.signatures.map((entry) => toHex(entry.validatorAddress)), addresses);
if (process.env.VALIDATORS) assert.equal(addresses.length, Number(process.env.VALIDATORS));
assert.equal((await comet.genesis()).chainId, chainId);
assert.equal((await comet.abciInfo()).lastBlockHeight >= height, true);

// A payment: sequence, balances, and the transaction found again in three ways.
const before = [await balance(sender), await balance(recipient)];
const sent = await client.sendTokens(sender, recipient, [upokt(42)], fee, 'for tea');
assert.equal(sent.code, 0, sent.rawLog);
assert.deepEqual([await balance(sender), await balance(recipient)], [before[0] - 43n, before[1] + 42n]);
const found = await client.getTx(sent.transactionHash);
assert.equal(found.height, sent.height);
assert.equal((await client.searchTx(`tx.hash='${sent.transactionHash}'`)).length, 1);
const paid = await client.searchTx([{ key: 'transfer.recipient', value: recipient }]);
assert.ok(paid.some((tx) => tx.hash === sent.transactionHash));

// A refusal says why, with the module's code.
const refused = await client.sendTokens(sender, recipient, [upokt('1000000000000000000')], fee).catch((error) => error);
assert.ok(refused instanceof Error || refused.code !== 0);
assert.match(refused.message ?? refused.rawLog, /insufficient funds/);

// Registered messages of our own modules, two in one transaction.
const staked = await client.signAndBroadcast(sender, [
  {
    typeUrl: '/pocket.application.MsgStakeApplication',
    value: { address: sender, stake: upokt(200000000), services: [{ serviceId: process.env.SERVICE }] },
  },
  { typeUrl: '/pocket.application.MsgDelegateToGateway', value: { appAddress: sender, gatewayAddress: gateway } },
], fee);
assert.equal(staked.code, 0, staked.rawLog);
assert.ok(staked.events.some((event) => event.type === 'pocket.application.EventApplicationStaked'));

// Subscriptions: consecutive blocks, and the transaction that is sent meanwhile.
const live = await Comet38Client.create(new WebsocketClient(rpc.replace('http', 'ws')));
const take = (stream, count) => new Promise((resolve, reject) => {
  const seen = [];
  const subscription = stream.subscribe({
    next: (item) => {
      seen.push(item);
      if (seen.length === count) { subscription.unsubscribe(); resolve(seen); }
    },
    error: reject,
  });
});
const late = setTimeout(() => { console.error('subscriptions: nothing within 20 s'); process.exit(1); }, 20000);
const blocks = take(live.subscribeNewBlock(), 3);
const headers = take(live.subscribeNewBlockHeader(), 2);
const txs = take(live.subscribeTx(`message.sender='${sender}'`), 1);
await new Promise((resolve) => setTimeout(resolve, 0));
const last = await client.sendTokens(sender, recipient, [upokt(1)], fee);
const heights = (await blocks).map((item) => item.header.height);
assert.deepEqual(heights, [heights[0], heights[0] + 1, heights[0] + 2]);
const [first, second] = await headers;
assert.equal(second.height, first.height + 1);
const [seen] = await txs;
assert.equal(toHex(seen.hash).toUpperCase(), last.transactionHash);
assert.equal(seen.height, last.height);
clearTimeout(late);
live.disconnect();

console.log(JSON.stringify({ ok: true, chainId, sender, height: last.height }));
process.exit(0); // the library's socket connects again after a disconnect, and would keep the process
