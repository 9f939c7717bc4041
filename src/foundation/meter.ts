const windowSeconds = 60;

/** Counts events: their total, and their rate in the last 60 seconds. */
export class Meter {
  #total = 0;
  readonly #seconds = new Float64Array(windowSeconds);
  readonly #start: number;
  #now: number;

  constructor(private readonly clock: { now: () => number } = performance) {
    this.#start = Math.floor(clock.now() / 1000);
    this.#now = this.#start;
  }

  /** Counts `count` events that happen now. */
  mark(count = 1): void {
    this.#forward();
    this.#total += count;
    this.#seconds[this.#now % windowSeconds] = (this.#seconds[this.#now % windowSeconds] ?? 0) + count;
  }

  /** Returns the total, and the events per second over the last 60 s, or since the start if that is shorter. */
  read(): { total: number; perSecond: number } {
    this.#forward();
    const seconds = Math.min(windowSeconds, this.#now - this.#start + 1);
    const count = this.#seconds.reduce((sum, each) => sum + each, 0);
    return { total: this.#total, perSecond: Math.round((10 * count) / seconds) / 10 };
  }

  #forward(): void {
    const now = Math.floor(this.clock.now() / 1000);
    if (now - this.#now >= windowSeconds) this.#seconds.fill(0);
    else while (this.#now < now) this.#seconds[++this.#now % windowSeconds] = 0;
    this.#now = now;
  }
}
