import type { Flushable } from './fan-out.js';
import type { IdleFeed } from './idle-feeds.js';

/** What feeds need of their surroundings. */
export interface FeedContext {
  /** 0 while notifications do not come in; else a number that changes with each interruption. */
  connection(): number;
  /** Whether nothing is to be given out, until the next connection. */
  isOff(): boolean;
  /**
   * When the former past was last seen, in microseconds of the database's clock; undefined if none has ended of late. Clients
   * that were between two polls come back with ids of it.
   */
  formerlySeenAt(): number | undefined;
  /** Calls the feed's flushSome(), from the end of this turn of the event loop on, until it is done. */
  flushSoon(feed: Flushable): void;
  /** The feed has a cursor, opened a moment ago. */
  used(feed: IdleFeed): void;
  /** The last cursor of the feed was closed: the feed may be forgotten. */
  idle(feed: IdleFeed): void;
  /** The last id has gone back. */
  idsWentBack(): void;
  /** A read failed; resolves to whether to try again, when it is time to. */
  readFailed(error: unknown, failures: number): Promise<boolean>;
}
