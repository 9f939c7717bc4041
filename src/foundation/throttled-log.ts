import { isPostbusError } from './errors.js';

/** Reports what may happen many times a second: once a minute, with how often it did, and the last one. */
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

/** Reports errors with a code once a minute each, however many callers meet them; errors without a code every time. */
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
