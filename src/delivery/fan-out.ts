/** A feed that has messages for its cursors. */
export interface Flushable {
  /** Hands messages to at most `max` cursors; returns whether some cursors still wait for theirs. */
  flushSome(max: number): boolean;
}

// This many cursors are served before the process turns to other work: a write costs microseconds, so thousands of
// writes in a row would block the process.
const cursorsPerTurn = 256;

/**
 * Hands messages out from the end of this turn of the event loop on, so that the messages of several notifications in
 * one turn leave in one write for each client. Feeds take shares of equal size, so that a crowd on one channel does not
 * hold up the others.
 */
export class FanOut {
  readonly #waiting = new Set<Flushable>();

  add(feed: Flushable): void {
    this.#waiting.add(feed);
    if (this.#waiting.size === 1) setImmediate(() => this.#flushSome());
  }

  #flushSome(): void {
    const share = Math.ceil(cursorsPerTurn / this.#waiting.size);
    for (const feed of this.#waiting) if (!feed.flushSome(share)) this.#waiting.delete(feed);
    if (this.#waiting.size > 0) setImmediate(() => this.#flushSome());
  }
}
