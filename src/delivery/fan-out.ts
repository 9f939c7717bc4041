/** Has messages for its cursors. */
export interface Flushable {
  /** Hands messages to at most so many cursors; returns whether some are still without. */
  flushSome(max: number): boolean;
}

// That many cursors are served before other work of the process has its turn: a write costs microseconds, thousands of them
// block the process.
const cursorsPerTurn = 256;

/**
 * Hands out, from the end of this turn of the event loop on: what several notifications bring in one turn leaves in one write
 * for each client. Feeds take shares of equal size, so that a crowd on one channel does not hold up the others.
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
