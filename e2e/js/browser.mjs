// A dApp in a browser: a page of another origin, in headless Chromium, with the browser's own fetch, EventSource and WebSocket.
// usage: node browser.mjs SERVICE_URL EVENT_SERVER_URL PAGE_PORT; prints one JSON line, exits non-zero on the first surprise.
//   The gateway takes 1,000,000 bytes, from pages of http://127.0.0.1:PAGE_PORT and of no other origin. Behind it an EVM node answers JSON-RPC, and the event server the rest.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import puppeteer from 'puppeteer-core';

const [url, server, port] = process.argv.slice(2);
const late = setTimeout(() => { console.error('nothing within 60 s'); process.exit(1); }, 60_000);

const pages = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html><title>dApp</title>'));
await once(pages.listen(Number(port), '127.0.0.1'), 'listening');
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  pipe: true, // so that it ends with this process, however that ends
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'], // CI is root in a container
});
const open = async (origin) => {
  const page = await browser.newPage();
  await page.goto(origin);
  return page;
};
const relays = async () => {
  const text = await (await fetch(new URL('/metrics', url))).text();
  const lines = text.split('\n').filter((line) => line.startsWith('gateway_relays_total{outcome="ok"'));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').pop()), 0);
};

// What a page does; each runs in the browser and tells what the page saw.
const call = async ({ url, method, params = [] }) => {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { authorization: 'Bearer of-the-portal-before-the-gateway', 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 'page', method, params }),
  }).catch((error) => String(error));
  if (typeof answer === 'string') return { failed: answer };
  const named = ['x-supplier-address', 'x-session-id', 'x-request-id'].filter((name) => answer.headers.has(name));
  return { status: answer.status, named, body: await answer.json() };
};
const listen = (url) => {
  const source = new EventSource(url);
  const told = { opened: 0, errors: [], events: [] };
  source.onopen = () => (told.opened += 1);
  source.onerror = () => told.errors.push(source.readyState);
  source.onmessage = ({ data }) => told.events.push(JSON.parse(data));
  Object.assign(window, { source, told });
};
const refusedSource = (url) =>
  new Promise((told) => {
    const source = new EventSource(url);
    source.onopen = () => told('open');
    source.onerror = () => told(source.readyState);
  });
const connect = (url) =>
  new Promise((opened, failed) => {
    const socket = new WebSocket(url);
    const frames = [];
    socket.onmessage = ({ data }) => frames.push(JSON.parse(data));
    socket.onopen = () => opened();
    socket.onerror = () => failed(new Error('no socket'));
    Object.assign(window, { socket, frames });
  });
const ask = async ([id, method, params]) => {
  window.socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
  for (;;) {
    const answer = window.frames.find((frame) => frame.id === id);
    if (answer) return answer;
    await new Promise((later) => setTimeout(later, 10));
  }
};
const refusedSocket = (url) =>
  new Promise((told) => {
    const socket = new WebSocket(url);
    socket.onopen = () => told('open');
    socket.onclose = ({ code, wasClean }) => told({ code, wasClean });
  });
const closed = () =>
  new Promise((told) => {
    window.socket.onclose = ({ code, wasClean }) => told({ code, wasClean });
    window.socket.close(1000);
  });

const page = await open(`http://127.0.0.1:${port}/`);
const preflights = [];
const devtools = await page.createCDPSession();
devtools.on('Network.requestWillBeSent', ({ initiator, request }) => initiator.type === 'preflight' && preflights.push(request.headers));
await devtools.send('Network.enable');

// fetch: asked for beforehand because of its Authorization; the page reads the answer and how it came about, and so a refusal.
const chain = await page.evaluate(call, { url, method: 'eth_chainId' });
assert.deepEqual(chain.body, { jsonrpc: '2.0', id: 'page', result: '0x7a69' });
assert.deepEqual([chain.status, ...chain.named], [200, 'x-supplier-address', 'x-session-id', 'x-request-id']);
assert.equal(preflights.length, 1);
assert.equal(preflights[0]['Access-Control-Request-Headers'], 'authorization,content-type');
const unknown = await page.evaluate(call, { url: url.replace(/[^/]+$/, 'nosuch'), method: 'eth_chainId' });
assert.deepEqual([unknown.status, unknown.body.error.code, unknown.body.id, ...unknown.named], [404, -31010, 'page', 'x-request-id']);
const large = await page.evaluate(async (url) => {
  const answer = await fetch(url, { method: 'POST', body: '0'.repeat(2_000_000) });
  return { status: answer.status, code: (await answer.json()).error.code };
}, url);
assert.deepEqual(large, { status: 400, code: -31022 });

// EventSource: each event before the next one is pushed; a broken stream goes on after the last one.
const push = (text) => fetch(`${server}/push`, { method: 'POST', body: text });
const events = (count) => page.waitForFunction((count) => window.told.events.length >= count, { polling: 10 }, count);
await page.evaluate(listen, `${url}/events`);
await page.waitForFunction(() => window.told.opened === 1, { polling: 10 });
for (const [index, text] of ['one', 'ünïcode ||POKT_STREAM||'].entries()) {
  await push(text);
  await events(index + 1);
}
await fetch(`${server}/end`, { method: 'POST' });
await events(3);
const told = await page.evaluate(() => (window.source.close(), window.told));
const last = 'ünïcode ||POKT_STREAM||';
const [CONNECTING, CLOSED] = [0, 2];
assert.deepEqual(told, { opened: 2, errors: [CONNECTING], events: ['one', last, `resumed after ${last.length}`] });
assert.equal(await page.evaluate(refusedSource, `${url.replace(/[^/]+$/, 'nosuch')}/events`), CLOSED);
assert.equal(await page.evaluate(refusedSource, `${url}/nosuch`), CLOSED, 'the server has no such page');

// WebSocket: a call, a subscription and its notification, the node's own error, a close in order.
const socket = url.replace('http', 'ws');
await page.evaluate(connect, socket);
const head = await page.evaluate(ask, [1, 'eth_blockNumber', []]);
const { result: subscription } = await page.evaluate(ask, [2, 'eth_subscribe', ['newHeads']]);
assert.equal((await page.evaluate(call, { url, method: 'evm_mine' })).status, 200);
const notified = await page.waitForFunction(() => window.frames.find(({ method }) => method === 'eth_subscription'), { polling: 10 });
const { params } = await notified.jsonValue();
assert.deepEqual([params.subscription, Number(params.result.number)], [subscription, Number(head.result) + 1]);
assert.equal((await page.evaluate(ask, [3, 'no_such_method', []])).error.code, -32004);
assert.deepEqual(await page.evaluate(closed), { code: 1000, wasClean: true });
assert.deepEqual(await page.evaluate(refusedSocket, socket.replace(/[^/]+$/, 'nosuch')), { code: 1006, wasClean: false });

// A page of another origin gets nothing, and costs nothing.
const before = await relays();
const stranger = await open(`http://localhost:${port}/`);
assert.deepEqual(await stranger.evaluate(call, { url, method: 'eth_chainId' }), { failed: 'TypeError: Failed to fetch' });
assert.equal(await stranger.evaluate(refusedSource, `${url}/events`), CLOSED);
assert.deepEqual(await stranger.evaluate(refusedSocket, socket), { code: 1006, wasClean: false });
assert.equal(await relays(), before);

await browser.close();
clearTimeout(late);
console.log(JSON.stringify({ ok: true, preflights: preflights.length }));
process.exit(0);
