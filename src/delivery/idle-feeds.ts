/** A feed, as long as nobody waits for its messages. */
export interface IdleFeed {
  /** By which the dispatcher finds it. */
  readonly key: string;
  readonly lastId: number | undefined;
  /** When the last cursor was closed, in ms of our clock. */
  idleSince: number;
}

// Some 15 MB without their messages, which have a limit of their own (tails.ts).
const maxIdleFeeds = 20_000;

/**
 * Feeds without a cursor, kept for clients that come back: these need not ask the database. Strangers may name ever new
 * channels, so the number of idle feeds has a limit. Beyond it the feed goes that has been idle longest; feeds of
 * channels that were never published to go before all others.
 */
export class IdleFeeds {
  readonly #empty = new Set<IdleFeed>();
  readonly #published = new Set<IdleFeed>();

  /** `forget` is called with each feed that is no longer kept. */
  constructor(
    private readonly forget: (feed: IdleFeed) => void,
    private readonly max = maxIdleFeeds,
  ) {}

  /** The last cursor of a feed was closed. */
  add(feed: IdleFeed): void {
    if (feed.lastId === undefined) {
      // No read has told anything that would be worth keeping.
      this.forget(feed);
      return;
    }
    feed.idleSince = Date.now();
    (feed.lastId === 0 ? this.#empty : this.#published).add(feed);
    if (this.#empty.size + this.#published.size <= this.max) return;
    for (const oldest of this.#empty.size > 0 ? this.#empty : this.#published) {
      this.#drop(oldest);
      return;
    }
  }

  /** The feed has a cursor again. */
  delete(feed: IdleFeed): void {
    if (!this.#empty.delete(feed)) this.#published.delete(feed);
  }

  /** Forgets feeds that have been idle since before a time (our clock, in ms). */
  sweep(before: number): void {
    for (const feeds of [this.#empty, this.#published]) {
      for (const feed of feeds) {
        if (feed.idleSince >= before) break;
        this.#drop(feed);
      }
    }
  }

  clear(): void {
    this.#empty.clear();
    this.#published.clear();
  }

  #drop(feed: IdleFeed): void {
    this.delete(feed);
    this.forget(feed);
  }
}
