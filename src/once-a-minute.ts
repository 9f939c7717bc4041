/** Reports what may happen many times a second: once a minute, with how often it did. */
export class OnceAMinute {
  #count = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly report: (count: number) => void) {}

  note(): void {
    this.#count++;
    const now = performance.now();
    if (now - this.#reportedAt < 60_000) return;
    this.report(this.#count);
    this.#count = 0;
    this.#reportedAt = now;
  }
}
