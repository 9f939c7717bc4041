import { isPostbusError } from './errors.js';

/**
 * Reports something that may happen many times a second, at most once a minute: how often it happened since the last
 * report, and the details of the last time.
 */
export class ThrottledLog<Detail = void> {
  #count = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly write: (count: number, detail: Detail) => void) {}

  report(detail: Detail, times = 1): void {
    this.#count += times;
    const now = performance.now();
    if (now - this.#reportedAt < 60_000) return;
    this.write(this.#count, detail);
    this.#count = 0;
    this.#reportedAt = now;
  }
}

/**
 * Reports errors: those of each code at most once a minute, whichever callers meet them; errors without a code every
 * time.
 */
export class ThrottledLogByCode<Detail = void> {
  readonly #coded = new Map<string, ThrottledLog<[unknown, Detail]>>();

  constructor(private readonly write: (error: unknown, count: number, detail: Detail) => void) {}

  report(error: unknown, detail: Detail): void {
    if (!isPostbusError(error)) {
      this.write(error, 1, detail);
      return;
    }
    let reports = this.#coded.get(error.code);
    if (reports === undefined) {
      reports = new ThrottledLog((count, [last, about]) => this.write(last, count, about));
      this.#coded.set(error.code, reports);
    }
    reports.report([error, detail]);
  }
}
