// A dApp as its developer writes it, with viem; the only Portico in it is the URL.
// usage: node dapp.mjs GATEWAY_URL [EXPECTED_CHAIN_ID]; prints one JSON line, exits non-zero on the first surprise.
import assert from 'node:assert/strict';
import { createPublicClient, createWalletClient, http, parseEther, MethodNotFoundRpcError, RpcError } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { hardhat } from 'viem/chains';

const url = process.argv[2];
// The node's first development account: its key is printed by the node itself at every start.
const account = privateKeyToAccount('0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80');
const recipient = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';

const transport = http(url, { retryCount: 0 });
const client = createPublicClient({ chain: hardhat, transport, pollingInterval: 50 });
const wallet = createWalletClient({ chain: hardhat, transport, account });

assert.equal(await client.getChainId(), 31337);
const before = await client.getBalance({ address: recipient });
const height = await client.getBlockNumber({ cacheTime: 0 });

// A signed transaction goes through the gateway and is mined by the node behind the servicer.
const hash = await wallet.sendTransaction({ to: recipient, value: parseEther('1') });
const receipt = await client.waitForTransactionReceipt({ hash });
assert.equal(receipt.status, 'success');
assert.ok(receipt.blockNumber > height);
assert.equal((await client.getBalance({ address: recipient })) - before, parseEther('1'));

// A JSON-RPC batch: one HTTP call, one relay per item, answers in order.
const batching = createPublicClient({ chain: hardhat, transport: http(url, { batch: { wait: 20 }, retryCount: 0 }) });
const blocks = await Promise.all([0n, 1n, 0n, 1n].map((blockNumber) => batching.getBlock({ blockNumber })));
assert.deepEqual(blocks.map((b) => b.number), [0n, 1n, 0n, 1n]);
assert.equal(blocks[1].hash, receipt.blockHash);

// The node's own errors arrive as the library knows them.
await assert.rejects(client.request({ method: 'eth_noSuchMethod', params: [] }), (error) => {
  assert.ok(error instanceof MethodNotFoundRpcError || error instanceof RpcError || error.code === -32601 || error.code === -32004, `${error.name}: ${error.message}`);
  return true;
});

// What the node refuses without an id to name (it cannot read the request) arrives as its error, under the caller's id, from one supplier.
for (const [id, request] of [
  [7, { id: 7, method: 'eth_chainId' }],
  ['a', { jsonrpc: '2.0', id: 'a', method: 'eth_chainId', params: 'x' }],
]) {
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(request) });
  const body = await answer.json();
  assert.equal(answer.status, 200, JSON.stringify(body));
  assert.equal(answer.headers.get('x-attempts'), '1');
  assert.deepEqual([body.id, body.error?.code], [id, -32600], JSON.stringify(body));
}

// viem's default batch, 1,000 calls, is one HTTP call.
const thousand = Array.from({ length: 1000 }, (_, id) => ({ jsonrpc: '2.0', id, method: 'eth_chainId' }));
const answers = await (await fetch(url, { method: 'POST', body: JSON.stringify(thousand) })).json();
assert.deepEqual(answers.map((answer) => answer.id), thousand.map((call) => call.id), JSON.stringify(answers).slice(0, 300));
assert.ok(answers.every((answer) => answer.result === '0x7a69'), JSON.stringify(answers).slice(0, 300));

console.log(JSON.stringify({ ok: true, hash, block: receipt.blockNumber.toString() }));
