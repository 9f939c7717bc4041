/** Ms between two looks. */
const interval = 2_000;
/**
 * Ms between two looks on demand, so that whoever sends old notifications again cannot make the node look more often.
 */
const minPause = 1_000;

/**
 * Looks at the state of the database every two seconds while it runs, and at once on demand. An idle node costs
 * Postgres half a query per second, of about 0.1 ms. Notifications alone would not do: a restore sends none, and those
 * on another NOTIFY channel are not heard.
 */
export class PastWatch {
  #timer: NodeJS.Timeout | undefined;
  #hurriedAt = Number.NEGATIVE_INFINITY;
  /** Resolves when the look that is under way ends. */
  #looking: Promise<void> = Promise.resolve();
  /** Resolves when the look after the one under way ends; undefined if no such look is wanted. */
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
   * Asks for a look now. Resolves after a look that began later than this call. Undefined if the watch is stopped, or
   * if another look was asked for less than a second ago, so that this one has to wait; an urgent look never waits.
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

  /**
   * One look at a time. A look that is under way may be answered with a state of before this call, so another one
   * follows.
   */
  #lookNext(): Promise<void> {
    this.#next ??= this.#looking.then(() => {
      this.#next = undefined;
      this.#looking = this.look();
      return this.#looking;
    });
    return this.#next;
  }
}
