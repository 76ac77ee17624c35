// An event server as its developer writes it, with better-sse; nothing in it knows of Portico.
// usage: node event-server.mjs PORT
//   GET  /events         an event stream that is told what is pushed
//   POST /push           tells every open event stream the body
//   POST /end            ends every open event stream
//   GET  /open           how many event streams are open
//   GET  /lines?count=N  N lines of JSON
//   POST /chat           tokens of an answer as events, as language models are asked for them
import { createServer } from 'node:http';
import { createChannel, createSession } from 'better-sse';

const channel = createChannel();
const open = new Set(); // their responses
const body = async (request) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
};

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://events');
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /events': {
      const session = await createSession(request, response, { keepAlive: null, retry: 250 });
      channel.register(session);
      open.add(response);
      response.once('close', () => open.delete(response));
      if (session.lastId) session.push(`resumed after ${session.lastId}`);
      return;
    }
    case 'POST /push': {
      const text = await body(request);
      channel.broadcast(text, 'message', { eventId: String(text.length) });
      return response.end(String(channel.sessionCount));
    }
    case 'POST /end':
      for (const stream of open) stream.end();
      return response.end();
    case 'GET /open':
      return response.end(String(channel.sessionCount));
    case 'GET /lines': {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' });
      const count = Number(url.searchParams.get('count'));
      for (let line = 0; line < count; line += 1) {
        if (!response.write(`${JSON.stringify({ line, text: '||POKT_STREAM||'.repeat(line % 3) })}\n`)) {
          await new Promise((drained) => response.once('drain', drained));
        }
      }
      return response.end();
    }
    case 'POST /chat': {
      const { messages } = JSON.parse(await body(request));
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const token of messages[0].content.split(' ')) {
        response.write(`data: ${JSON.stringify({ choices: [{ delta: { content: token } }] })}\n\n`);
        await new Promise((later) => setTimeout(later, 5));
      }
      return response.end('data: [DONE]\n\n');
    }
    default:
      response.writeHead(404);
      return response.end();
  }
});
server.listen(Number(process.argv[2]), '127.0.0.1');
