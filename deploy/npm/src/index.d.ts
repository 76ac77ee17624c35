export interface LocalnetOptions {
  /** Path of the portico binary. Default: PORTICO_BINARY, or `portico` on the PATH. */
  binary?: string;
  /** Nodes of yours by service, e.g. `{ eth: 'http://127.0.0.1:8545' }`. */
  backends?: Record<string, string>;
  /** Time from block to block, e.g. `500ms`. Default `1s`. */
  blockTime?: string;
  /** Folder of the network, which is kept; a network in it is deleted at the start. Default: a folder of its own, deleted by `stop()`. */
  dataDir?: string;
  /** Ports; free ones unless set. */
  ports?: { gateway?: number; servicer?: number; rpc?: number; grpc?: number };
  /** Longest time until the network takes calls, in milliseconds. Default 120000. */
  startTimeout?: number;
  /** More environment variables of the process. */
  env?: Record<string, string>;
}

export interface Localnet extends AsyncDisposable {
  /** Resolves when the network takes calls; rejects with the log's end. */
  start(): Promise<this>;
  /** Ends the network in order, by force after `timeout` milliseconds (default 30000). */
  stop(options?: { timeout?: number }): Promise<void>;
  /** Where calls to `service` go. */
  serviceUrl(service: string): string;
  readonly gatewayUrl: string;
  readonly servicerUrl: string;
  /** The chain's CometBFT-style RPC. */
  readonly rpcUrl: string;
  readonly grpcUrl: string;
  readonly dataDir: string | undefined;
  /** The end of the network's log. */
  readonly log: string;
}

export function createLocalnet(options?: LocalnetOptions): Localnet;
