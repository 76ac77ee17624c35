// Refusals as node's fetch, ethers and viem see them.
// usage: node refusals.mjs GATEWAY_URL SERVICER_URL; prints one JSON line, exits non-zero on the first refusal that does not arrive.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { FetchRequest, JsonRpcProvider, Network } from 'ethers';
import { createClient, http } from 'viem';

const [gateway, servicer] = process.argv.slice(2);
const TRIES = 50; // a relay of ours may slip in between those that keep the gateway busy
const big = '0'.repeat(20_000_000); // beyond the gateway's max_body_bytes
const body = (method, params) => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });

// What is sent, and the JSON-RPC code that has to arrive.
const refusals = [
  { what: 'a body that is too large', url: gateway, method: 'eth_call', params: [big], status: 400, code: -31022 },
  { what: 'an unknown service', url: `${gateway}/nosuch`, method: 'eth_blockNumber', params: [], status: 404, code: -31010 },
  { what: 'an overloaded gateway', url: gateway, method: 'eth_blockNumber', params: [], status: 503, code: -31052 },
];

async function withFetch({ url, method, params }) {
  const answer = await fetch(url, { method: 'POST', body: body(method, params) });
  return { status: answer.status, text: await answer.text() };
}

async function withEthers({ url, method, params }) {
  const request = new FetchRequest(url);
  request.retryFunc = async () => false;
  const network = Network.from(31337);
  const provider = new JsonRpcProvider(request, network, { staticNetwork: network, batchMaxCount: 1 });
  try {
    return { text: inspect(await provider.send(method, params)) };
  } catch (error) {
    return { text: inspect(error, { depth: 8, maxStringLength: 2_000 }), refused: true };
  } finally {
    provider.destroy();
  }
}

async function withViem({ url, method, params }) {
  const client = createClient({ transport: http(url, { retryCount: 0 }) });
  try {
    return { text: inspect(await client.request({ method, params })) };
  } catch (error) {
    return { text: inspect(error, { depth: 8, maxStringLength: 2_000 }), refused: true };
  }
}

for (const [name, send] of Object.entries({ fetch: withFetch, ethers: withEthers, viem: withViem })) {
  for (const refusal of refusals) {
    let seen;
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      seen = await send(refusal);
      if (seen.text.includes(String(refusal.code))) break;
    }
    const told = `${name}, ${refusal.what}: ${seen.text.slice(0, 600)}`;
    assert.ok(seen.text.includes(String(refusal.code)), told);
    if (seen.status !== undefined) assert.equal(seen.status, refusal.status, told);
  }
}

const tooLarge = await fetch(servicer, { method: 'POST', body: Buffer.alloc(30_000_000) });
assert.equal(tooLarge.status, 413, await tooLarge.text());

console.log(JSON.stringify({ ok: true }));
process.exit(0);
