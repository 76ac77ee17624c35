// A Solana node as small as it gets: the network's own virtual machine (litesvm) behind Solana's JSON-RPC and subscriptions; nothing in it knows of
// Portico. A slot every 100 ms.
// usage: node solana-server.mjs PORT; HTTP and WebSocket at the same port
import { createServer } from 'node:http';
import { getBase58Decoder, getBase64Encoder, getTransactionDecoder, lamports } from '@solana/kit';
import litesvm from 'litesvm';
import { WebSocketServer } from 'ws';

const { FailedTransactionMetadata, LiteSVM } = litesvm;
const svm = new LiteSVM();
let slot = 1;
const done = new Map(); // slot and error of each signature
const listeners = new Set();

class RpcError extends Error {
  constructor(code, message, data) {
    super(message);
    Object.assign(this, { code, data });
  }
}

const at = (value) => ({ context: { slot, apiVersion: '2.0.0' }, value });
const account = (address) => {
  const found = svm.getAccount(address);
  if (!found.exists) return null;
  const data = [Buffer.from(found.data).toString('base64'), 'base64'];
  const { executable, programAddress: owner, space } = found;
  return { data, executable, lamports: Number(found.lamports), owner, rentEpoch: 0, space: Number(space) };
};
const settle = (outcome) => {
  if (outcome instanceof FailedTransactionMetadata) {
    const { index } = outcome.err();
    const err = { InstructionError: [index, { Custom: outcome.err().err().code }] };
    const data = { accounts: null, err, logs: outcome.meta().logs(), returnData: null, unitsConsumed: 0 };
    throw new RpcError(-32002, 'Transaction simulation failed', data);
  }
  const signature = getBase58Decoder().decode(outcome.signature());
  done.set(signature, slot);
  for (const listener of listeners) listener.settled(signature);
  return signature;
};
const status = (signature) =>
  done.has(signature)
    ? { slot: done.get(signature), confirmations: null, err: null, status: { Ok: null }, confirmationStatus: 'finalized' }
    : null;

const methods = {
  getHealth: () => 'ok',
  getVersion: () => ({ 'solana-core': '2.0.0', 'feature-set': 1 }),
  getSlot: () => slot,
  getBlockHeight: () => slot,
  getEpochInfo: () => ({ absoluteSlot: slot, blockHeight: slot, epoch: 0, slotIndex: slot, slotsInEpoch: 432000, transactionCount: done.size }),
  getLatestBlockhash: () => at({ blockhash: svm.latestBlockhash(), lastValidBlockHeight: slot + 150 }),
  getMinimumBalanceForRentExemption: (size) => Number(svm.minimumBalanceForRentExemption(BigInt(size))),
  getBalance: (address) => at(Number(svm.getBalance(address) ?? 0n)),
  getAccountInfo: (address) => at(account(address)),
  getSignatureStatuses: (signatures) => at(signatures.map(status)),
  requestAirdrop: (address, amount) => settle(svm.airdrop(address, lamports(BigInt(amount)))),
  sendTransaction: (wire) => settle(svm.sendTransaction(getTransactionDecoder().decode(getBase64Encoder().encode(wire)))),
};

const answer = (request, own = {}) => {
  const head = { jsonrpc: '2.0', id: request.id ?? null };
  const method = own[request.method] ?? methods[request.method];
  if (!method) return { ...head, error: { code: -32601, message: 'Method not found' } };
  try {
    return { ...head, result: method(...(request.params ?? [])) };
  } catch (error) {
    return { ...head, error: { code: error.code ?? -32603, message: error.message, data: error.data } };
  }
};

const server = createServer(async (request, response) => {
  if (request.method !== 'POST') return response.writeHead(405).end();
  const parts = [];
  for await (const part of request) parts.push(part);
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(answer(JSON.parse(Buffer.concat(parts)))));
});

new WebSocketServer({ server }).on('connection', (socket) => {
  const subscriptions = new Map();
  let next = 1;
  const say = (message) => socket.send(JSON.stringify(message));
  const notify = (subscription, method, result) => say({ jsonrpc: '2.0', method, params: { result, subscription } });
  const subscribe = (subscription) => {
    subscriptions.set(next, subscription);
    return next++;
  };
  const unsubscribe = (id) => subscriptions.delete(id);
  const own = {
    slotSubscribe: () => subscribe({ slots: true }),
    accountSubscribe: (address) => subscribe({ address, told: svm.getBalance(address) }),
    signatureSubscribe: (signature) => {
      const id = subscribe({ signature });
      if (done.has(signature)) setImmediate(() => listener.settled(signature));
      return id;
    },
    slotUnsubscribe: unsubscribe,
    accountUnsubscribe: unsubscribe,
    signatureUnsubscribe: unsubscribe,
  };
  const listener = {
    slot: () => {
      for (const [id, { slots }] of subscriptions) {
        if (slots) notify(id, 'slotNotification', { parent: slot - 1, root: Math.max(slot - 32, 0), slot });
      }
    },
    settled: (wanted) => {
      for (const [id, subscription] of subscriptions) {
        if (subscription.signature === wanted) {
          subscriptions.delete(id); // told once
          notify(id, 'signatureNotification', at({ err: null }));
        }
        const balance = subscription.address && svm.getBalance(subscription.address);
        if (subscription.address && balance !== subscription.told) {
          subscription.told = balance;
          notify(id, 'accountNotification', at(account(subscription.address)));
        }
      }
    },
  };
  listeners.add(listener);
  socket.on('close', () => listeners.delete(listener));
  socket.on('message', (text) => {
    const request = JSON.parse(text);
    if (request.id !== undefined) say(answer(request, own)); // the rest are pings
  });
});

setInterval(() => {
  slot += 1;
  for (const listener of listeners) listener.slot();
}, 100);
server.listen(Number(process.argv[2]), '127.0.0.1');
