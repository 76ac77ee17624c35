// A dApp on Solana as its developer writes it, with @solana/kit; the only Portico in it is the URL.
// usage: node solana.mjs SERVICE_URL ROLLOVERS; prints one JSON line, exits non-zero on the first surprise.
//   Payments go on until the gateway has replaced the suppliers' sockets under the dApp's at so many sessions' ends; its subscriptions go on meanwhile.
import assert from 'node:assert/strict';
import {
  airdropFactory, appendTransactionMessageInstruction, createSolanaRpc, createSolanaRpcSubscriptions, createTransactionMessage,
  generateKeyPairSigner, isSolanaError, lamports, pipe, sendAndConfirmTransactionFactory, setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash, signTransactionMessageWithSigners, SOLANA_ERROR__JSON_RPC__METHOD_NOT_FOUND,
} from '@solana/kit';
import { getTransferSolInstruction } from '@solana-program/system';
import WebSocket from 'ws';

const [url, rollovers] = [process.argv[2], Number(process.argv[3])];
const [slots, told, expected, gaps] = [[], [], [], []];
const { emit } = WebSocket.prototype; // the library's own sockets
WebSocket.prototype.emit = function (event, data, ...rest) {
  if (event === 'message' && `${data}`.includes('"portico_gap"')) gaps.push(`${data}`);
  return emit.call(this, event, data, ...rest);
};
const late = setTimeout(() => {
  console.error(`not done within 60 s: ${expected.length} payments, told of ${told.length} balances, the last ${told.at(-1)}, of ${slots.length} slots, and of gaps: ${gaps}`);
  process.exit(1);
}, 60_000);
const rpc = createSolanaRpc(url);
const rpcSubscriptions = createSolanaRpcSubscriptions(url.replace('http', 'ws'));
const rebinds = async () => {
  const text = await (await fetch(new URL('/metrics', url))).text();
  const line = text.split('\n').find((line) => line.startsWith('gateway_websocket_rebinds_total{cause="session"}'));
  return Number(line?.split(' ').pop() ?? 0);
};

const [payer, payee] = [await generateKeyPairSigner(), await generateKeyPairSigner()];
const balance = async ({ address }) => (await rpc.getBalance(address).send()).value;

// HTTP and WebSocket at once: kit asks for the airdrop, and listens for its confirmation and for slots.
await airdropFactory({ rpc, rpcSubscriptions })({
  recipientAddress: payer.address, lamports: lamports(2_000_000_000n), commitment: 'confirmed',
});
assert.equal(await balance(payer), 2_000_000_000n);
assert.equal((await rpc.getAccountInfo(payee.address, { encoding: 'base64' }).send()).value, null);

const abort = new AbortController();
const follow = async (stream, keep) => {
  for await (const item of stream) keep(item);
};
const following = [
  follow(await rpcSubscriptions.slotNotifications().subscribe({ abortSignal: abort.signal }), ({ slot }) => slots.push(slot)),
  follow(
    await rpcSubscriptions.accountNotifications(payee.address, { encoding: 'base64' }).subscribe({ abortSignal: abort.signal }),
    ({ value }) => told.push(value.lamports),
  ),
];

const sendAndConfirm = sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions });
const pay = async (amount) => {
  const { value: latest } = await rpc.getLatestBlockhash().send();
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (message) => setTransactionMessageFeePayerSigner(payer, message),
    (message) => setTransactionMessageLifetimeUsingBlockhash(latest, message),
    (message) =>
      appendTransactionMessageInstruction(
        getTransferSolInstruction({ source: payer, destination: payee.address, amount: lamports(amount) }), message,
      ),
  );
  await sendAndConfirm(await signTransactionMessageWithSigners(message), { commitment: 'confirmed' });
};
const payNext = async () => {
  const amount = 1_000_000n + BigInt(expected.length); // another each time: the same transaction is taken once
  await pay(amount);
  expected.push((expected.at(-1) ?? 0n) + amount);
};
const before = await rebinds();
while (expected.length < 3 || (await rebinds()) < before + rollovers) await payNext();
assert.equal(await balance(payee), expected.at(-1));

// No balance and no slot twice, and all in order. Every balance is told, but where the gateway says that something may be missing.
for (let waited = 0; told.at(-1) !== expected.at(-1); waited += 10) {
  await new Promise((later) => setTimeout(later, 10));
  if (waited % 3_000 === 2_990 && gaps.length > 0) await payNext();
}
const places = told.map((balance) => expected.indexOf(balance));
for (const seen of [slots, places]) assert.ok(seen.every((item, index) => index === 0 || item > seen[index - 1]), `${seen}`);
assert.ok(slots.length > 3 && places[0] >= 0);
if (gaps.length === 0) assert.deepEqual(told, expected);
abort.abort();
await Promise.all(following);

// The node's own errors arrive as the library knows them.
await assert.rejects(pay(5_000_000_000n), (error) => isSolanaError(error) && /simulation failed/i.test(`${error.message}${error.cause?.message ?? ''}`));
await assert.rejects(rpc.getInflationRate().send(), (error) => isSolanaError(error, SOLANA_ERROR__JSON_RPC__METHOD_NOT_FOUND));

clearTimeout(late);
console.log(JSON.stringify({ ok: true, payments: expected.length, slots: slots.length, gaps: gaps.length, rebinds: (await rebinds()) - before }));
process.exit(0);
