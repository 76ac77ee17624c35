// A Pocket localnet as a value: `start()`, URLs, `stop()`. It runs the portico binary; nothing is downloaded.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Most of the network's log that is kept for error messages, in characters. */
const MAX_LOG = 64 * 1024;

const PARTS = { gateway: 'gateway', servicer: 'servicer', rpc: 'chain RPC', grpc: 'chain gRPC' };

/**
 * Describes a network; nothing runs before `start()`. See index.d.ts for the options.
 */
export function createLocalnet(options = {}) {
  return new Localnet(options);
}

class Localnet {
  #options;
  #child;
  #folder;
  #ended;
  #log = '';
  #urls = {};

  constructor(options) {
    const known = ['binary', 'backends', 'blockTime', 'dataDir', 'ports', 'startTimeout', 'env'];
    const unknown = Object.keys(options).filter((key) => !known.includes(key));
    if (unknown.length > 0) throw new TypeError(`unknown option ${unknown.join(', ')}; there are ${known.join(', ')}`);
    this.#options = options;
  }

  get gatewayUrl() { return this.#url('gateway'); }
  get servicerUrl() { return this.#url('servicer'); }
  get rpcUrl() { return this.#url('rpc'); }
  get grpcUrl() { return this.#url('grpc'); }
  get dataDir() { return this.#options.dataDir ?? this.#folder; }
  get log() { return this.#log; }

  /** Where calls to `service` go. */
  serviceUrl(service) {
    return `${this.gatewayUrl}/v1/${encodeURIComponent(service)}`;
  }

  /** Resolves when the network takes calls. */
  async start() {
    if (this.#child) throw new Error('the localnet runs already');
    const { binary = process.env.PORTICO_BINARY ?? 'portico', backends = {}, blockTime = '1s', ports = {}, startTimeout = 120_000 } = this.#options;
    if (!this.#options.dataDir) this.#folder = await mkdtemp(join(tmpdir(), 'portico-localnet-'));
    const args = ['localnet', '--reset', '--data-dir', this.dataDir, '--block-time', blockTime];
    for (const part of Object.keys(PARTS)) args.push(`--${part}-port`, String(ports[part] ?? 0));
    for (const [service, url] of Object.entries(backends)) args.push('--backend', `${service}=${url}`);

    this.#log = '';
    const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...this.#options.env } });
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(`${binary} cannot be started: ${error.message}`));
      child.once('exit', (code, signal) => resolve(`the localnet ended (${signal ?? `exit code ${code}`})`));
    });
    // A test run that dies must not leave a network behind.
    const end = () => child.kill('SIGKILL');
    process.once('exit', end);
    this.#ended.then(() => process.off('exit', end));

    const ready = new Promise((resolve) => {
      const read = (chunk) => {
        this.#log = (this.#log + chunk).slice(-MAX_LOG);
        if (/^ *curl /m.test(this.#log)) resolve();
      };
      child.stdout.setEncoding('utf8').on('data', read);
      child.stderr.setEncoding('utf8').on('data', read);
    });
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve(`the localnet is not ready after ${startTimeout} ms`), startTimeout);
    });
    const wrong = await Promise.race([ready, this.#ended, late]);
    clearTimeout(timer);
    if (wrong) {
      const log = this.#log;
      await this.stop();
      throw new Error(`${wrong}\n${log}`);
    }
    for (const [part, name] of Object.entries(PARTS)) {
      this.#urls[part] = this.#log.match(new RegExp(`^ +${name} +(https?://\\S+)`, 'm'))[1];
    }
    return this;
  }

  /** Ends the network, and deletes its folder unless `dataDir` was given. */
  async stop({ timeout = 30_000 } = {}) {
    const child = this.#child;
    if (!child) return;
    child.kill('SIGINT');
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
    await this.#ended;
    clearTimeout(timer);
    this.#child = undefined;
    this.#urls = {};
    if (this.#folder && existsSync(this.#folder)) await rm(this.#folder, { recursive: true, force: true });
    this.#folder = undefined;
  }

  async [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    await this.stop();
  }

  #url(part) {
    if (!this.#urls[part]) throw new Error('the localnet does not run: await start() first');
    return this.#urls[part];
  }
}
