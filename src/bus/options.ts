import type { DatabaseOptions } from '../database/pooled-postgres.js';
import type { Logger } from '../foundation/logger.js';
import type { Codec } from '../messages/codec.js';
import type { SiteOptions } from '../publishing/publish-options.js';
import type { Gap } from './callback-subscription.js';
import type { DataSchema } from './schemas.js';

export interface BusOptions extends DatabaseOptions {
  /** The schema of the bus; `message_bus` unless said otherwise. */
  schema?: string | undefined;
  /** Where warnings and errors go that have no caller; pino and `app.log` fit. Default: the console. */
  logger?: Logger | undefined;
  /**
   * Ms between the signs of life that the bus sends itself through Postgres; when three do not come back, it connects
   * anew. 60000 unless said otherwise; 0 for none.
   */
  keepaliveInterval?: number | undefined;
  /** For data that JSON cannot carry. */
  codec?: Codec | undefined;
  /** Checks data at publish: a Standard Schema for each channel or pattern (`/orders/*`). */
  schemas?: Readonly<Record<string, DataSchema>> | undefined;
}

export interface SubscribeOptions extends SiteOptions {
  /**
   * Where to begin: an id (of a message in the channel; of all messages where channel is null) to get what came after
   * it first; -1, the default, from now on; -2 the last message and from now on, -3 the last two …
   */
  lastId?: number | undefined;
  /**
   * Called where messages are missing that left the backlog before they could be handed over, in its place among the
   * messages; may be async as the callback. Without it, a warning is logged.
   */
  onGap?: ((gap: Gap) => unknown) | undefined;
}

export interface OffOptions {
  /** false: what is published goes out all the same. */
  disablePublish?: boolean | undefined;
}

/** Bus-wide settings; what is left out stays. */
export interface Settings {
  /** Surplus rows are deleted once in so many publications of a channel. */
  clearEvery?: number | undefined;
  maxBacklogSize?: number | undefined;
  maxGlobalBacklogSize?: number | undefined;
  /** Seconds. */
  maxBacklogAge?: number | undefined;
  /** Bytes that the data of a message may have as JSON text, from 1 to 67108864 (64 MiB). */
  maxDataSize?: number | undefined;
  /** The largest maxBacklogSize that a publish may name; not below the bus-wide one. */
  backlogSizeCap?: number | undefined;
  /** The largest maxBacklogAge that a publish may name, in seconds; not below the bus-wide one. */
  backlogAgeCap?: number | undefined;
  /** Whether nodes publish what publish_later() has put down, instead of the commits of those who called it. */
  relay?: boolean | undefined;
}
