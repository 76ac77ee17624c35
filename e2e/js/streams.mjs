// A dApp that reads event streams: the standard's EventSource, and fetch. The only Portico in it is the URL.
// usage: node streams.mjs SERVICE_URL SERVER_URL; prints one JSON line, exits non-zero on the first surprise.
import assert from 'node:assert/strict';
import { EventSource } from 'eventsource';

const [url, server] = process.argv.slice(2);
const push = (text) => fetch(`${server}/push`, { method: 'POST', body: text });
const until = async (what, holds) => {
  const deadline = Date.now() + 60_000;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `not in time: ${what}`);
    await new Promise((later) => setTimeout(later, 10));
  }
};
const open = async () => Number(await (await fetch(`${server}/open`)).text());

// Each event is here before the next is pushed: nothing on the way waits for more.
const source = new EventSource(`${url}/events`);
const events = [];
source.onmessage = (event) => events.push(JSON.parse(event.data));
await new Promise((opened, failed) => {
  source.onopen = opened;
  source.onerror = (error) => failed(new Error(`${error.code} ${error.message}`));
});
const pushed = ['one', 'with ||POKT_STREAM|| in it', 'x'.repeat(300_000), 'ünïcode'];
for (const [index, text] of pushed.entries()) {
  await push(text);
  await until(`event ${index}`, () => events.length > index);
}
assert.deepEqual(events, pushed);

// Who leaves is gone for the server too.
assert.equal(await open(), 1);
source.close();
await until('the server knows that nobody listens', async () => (await open()) === 0);

// Lines of JSON, byte by byte.
const itself = await (await fetch(`${server}/lines?count=20000`)).text();
const response = await fetch(`${url}/lines?count=20000`);
assert.equal(response.headers.get('content-type'), 'application/x-ndjson');
assert.equal(await response.text(), itself);

// Tokens, as clients of language models read them.
const answer = await fetch(`${url}/chat`, {
  method: 'POST',
  headers: { 'content-type': 'application/json', accept: 'application/json' },
  body: JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'the quick brown fox' }] }),
});
const tokens = [];
let text = '';
for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
  text += chunk;
  const whole = text.split('\n\n');
  text = whole.pop();
  tokens.push(...whole.map((event) => event.slice('data: '.length)));
}
assert.equal(tokens.pop(), '[DONE]');
assert.deepEqual(tokens.map((token) => JSON.parse(token).choices[0].delta.content), ['the', 'quick', 'brown', 'fox']);

console.log(JSON.stringify({ ok: true, events: events.length }));
process.exit(0);
