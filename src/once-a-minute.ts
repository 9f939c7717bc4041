/** Reports what may happen many times a second: once a minute, with how often it did, and the last one. */
export class OnceAMinute<Detail = void> {
  #count = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly report: (count: number, detail: Detail) => void) {}

  note(detail: Detail, times = 1): void {
    this.#count += times;
    const now = performance.now();
    if (now - this.#reportedAt < 60_000) return;
    this.report(this.#count, detail);
    this.#count = 0;
    this.#reportedAt = now;
  }
}
