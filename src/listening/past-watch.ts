/** Ms between two looks. */
const interval = 2_000;
/** Ms between two looks on demand: who sends old notifications again has the node look no more often. */
const minPause = 1_000;

/**
 * Looks at the state of the database every two seconds while it runs, and at once on demand. An idle node costs Postgres half
 * a query a second, of about 0.1 ms. Notifications alone would not do: a restore sends none, and what is published under
 * another NOTIFY channel is not heard.
 */
export class PastWatch {
  #timer: NodeJS.Timeout | undefined;
  #hurriedAt = Number.NEGATIVE_INFINITY;
  /** Ends with the look that is under way. */
  #looking: Promise<void> = Promise.resolve();
  /** Ends with the look after that one, if it is wanted. */
  #next: Promise<void> | undefined;

  /** `look` must not reject. */
  constructor(private readonly look: () => Promise<void>) {}

  start(): void {
    this.#schedule(interval);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /**
   * There is reason to look now. Resolves after a look that began later than this call; undefined if it comes so soon after
   * another one that it has to wait, as it need not if it is urgent.
   */
  hurry(isUrgent = false): Promise<void> | undefined {
    if (this.#timer === undefined) return undefined;
    const since = performance.now() - this.#hurriedAt;
    if (since < minPause && !isUrgent) {
      this.#schedule(minPause - since);
      return undefined;
    }
    this.#hurriedAt = performance.now();
    return this.#lookNext();
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#tick(), ms).unref();
  }

  async #tick(): Promise<void> {
    const timer = this.#timer;
    await this.#lookNext();
    if (this.#timer === timer) this.#schedule(interval);
  }

  /** One look after the other: the answer to one that is under way may be of before. */
  #lookNext(): Promise<void> {
    this.#next ??= this.#looking.then(() => {
      this.#next = undefined;
      this.#looking = this.look();
      return this.#looking;
    });
    return this.#next;
  }
}
