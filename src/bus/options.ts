import type { DatabaseOptions } from '../database/pooled-postgres.js';
import type { Logger } from '../foundation/logger.js';
import type { Codec } from '../messages/codec.js';
import type { SiteOptions } from '../publishing/publish-options.js';
import type { Gap } from './callback-subscription.js';
import type { DataSchema } from './schemas.js';

export interface BusOptions extends DatabaseOptions {
  /** The Postgres schema of the bus. Default: `message_bus`. */
  schema?: string | undefined;
  /** Gets the warnings and errors that reject no call; a pino logger and `app.log` fit. Default: the console. */
  logger?: Logger | undefined;
  /**
   * Ms between the beats that the bus sends itself through Postgres to check its listening connection. If none comes
   * back for three intervals, the bus connects again. Default: 60000. 0: no beats.
   */
  keepaliveInterval?: number | undefined;
  /** Encodes and decodes data that JSON cannot carry. */
  codec?: Codec | undefined;
  /** Checks data at publish: a Standard Schema for each channel or pattern (`/orders/*`). */
  schemas?: Readonly<Record<string, DataSchema>> | undefined;
}

export interface SubscribeOptions extends SiteOptions {
  /**
   * Where to begin. An id of 0 or more: with the messages after it (a message id; a global id if the channel is null).
   * -1, the default: with what is published from now on. -2: with the last message, -3: with the last two, …
   */
  lastId?: number | undefined;
  /**
   * Called if messages left the backlog before they could be handed over, between the messages before and after the
   * gap; if it returns a promise, the next message waits for that. Without it, a warning is logged.
   */
  onGap?: ((gap: Gap) => unknown) | undefined;
}

export interface OffOptions {
  /** False: publish() goes on working while the bus is off. Default: true. */
  disablePublish?: boolean | undefined;
}

/** Bus-wide settings. A setting that is left out stays as it is. */
export interface Settings {
  /** Number of publishes to a channel after which its surplus rows are deleted. At first: 100. */
  clearEvery?: number | undefined;
  /** Number of messages that each channel keeps. At first: 1000. */
  maxBacklogSize?: number | undefined;
  /** Number of messages of the whole bus that the global backlog keeps. At first: 2000. */
  maxGlobalBacklogSize?: number | undefined;
  /** Seconds for which a message can be read. At first: 604800, which is 7 days. */
  maxBacklogAge?: number | undefined;
  /** Bytes that the data of a message may have as JSON text, from 1 to 67108864 (64 MiB). At first: 1048576 (1 MiB). */
  maxDataSize?: number | undefined;
  /** The largest `maxBacklogSize` that a publish may ask for; not below the bus-wide one. At first: 100000. */
  backlogSizeCap?: number | undefined;
  /**
   * The largest `maxBacklogAge` that a publish may ask for, in seconds; not below the bus-wide one. At first: 31536000,
   * a year.
   */
  backlogAgeCap?: number | undefined;
  /**
   * True: nodes publish the messages queued by publish_later(). False, as at first: the commit of the transaction that
   * queued them does.
   */
  relay?: boolean | undefined;
}
