import type { Flushable } from './fan-out.js';
import type { IdleFeed } from './idle-feeds.js';

/** What a feed needs of the dispatcher. */
export interface FeedContext {
  /** 0 while this node receives no notifications; otherwise a number that changes with each interruption. */
  connection(): number;
  /** True while the bus is off: nothing is handed out until the next connection. */
  isOff(): boolean;
  /**
   * When this node last saw the former past (µs, database clock); undefined if none has ended in the last two minutes.
   * Clients that were between two polls come back with ids of the former past.
   */
  formerlySeenAt(): number | undefined;
  /**
   * Calls the feed's flushSome() from the end of this turn of the event loop on, until every cursor has been served.
   */
  flushSoon(feed: Flushable): void;
  /** Called when a feed without cursors gets one. */
  used(feed: IdleFeed): void;
  /** Called when the last cursor of the feed was closed: the feed may be forgotten. */
  idle(feed: IdleFeed): void;
  /** Called when the feed's last id has become lower. */
  idsWentBack(): void;
  /** Called when a read has failed, `failures` of them in a row. Waits, and resolves to whether to try again. */
  readFailed(error: unknown, failures: number): Promise<boolean>;
}
