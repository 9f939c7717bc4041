/** A feed without a cursor. */
export interface IdleFeed {
  /** The key by which the dispatcher finds the feed. */
  readonly key: string;
  readonly lastId: number | undefined;
  /** When the last cursor was closed, in ms of our clock. */
  idleSince: number;
}

// About 15 MB without their messages, which have a limit of their own (tails/tail-memory.ts).
const maxIdleFeeds = 20_000;

/**
 * Keeps feeds without a cursor for clients that come back, which then need no query. The number of idle feeds has a
 * limit, because strangers may name ever new channels. Beyond the limit, the feed that has been idle longest is
 * forgotten; feeds of channels that were never published to are forgotten before all others.
 */
export class IdleFeeds {
  readonly #empty = new Set<IdleFeed>();
  readonly #published = new Set<IdleFeed>();

  /** `forget` is called with each feed that is no longer kept. */
  constructor(
    private readonly forget: (feed: IdleFeed) => void,
    private readonly max = maxIdleFeeds,
  ) {}

  /** Called when the last cursor of a feed was closed. */
  add(feed: IdleFeed): void {
    if (feed.lastId === undefined) {
      // No read has told the last id, so there is nothing worth keeping.
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

  /** Called when the feed has a cursor again. */
  delete(feed: IdleFeed): void {
    if (!this.#empty.delete(feed)) this.#published.delete(feed);
  }

  /** Forgets feeds that became idle before a time (ms, our clock). */
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
