import type { Received } from '../accounting/publication.js';

/** What a node is started with; JSON in its first argument. */
export interface NodeConfig {
  readonly databaseUrl: string;
  readonly port: number;
  /** Where its subscriber to all channels goes on: after this global id. */
  readonly lastGlobalId: number;
  /** Polls wait at most this long. */
  readonly longPollingIntervalMs: number;
  readonly keepaliveIntervalMs: number;
}

/** What a node tells the program that started it. */
export type NodeReport =
  | { readonly type: 'ready' }
  | { readonly type: 'connected' }
  | { readonly type: 'received'; readonly messages: readonly Received[] }
  | { readonly type: 'gap'; readonly after: number; readonly firstId: number };
