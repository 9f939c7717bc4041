import { isPostbusError } from './errors.js';

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

/** Reports errors with a code once a minute each, however many callers meet them; errors without a code every time. */
export class OnceAMinuteByCode<Detail = void> {
  readonly #coded = new Map<string, OnceAMinute<[unknown, Detail]>>();

  constructor(private readonly report: (error: unknown, count: number, detail: Detail) => void) {}

  note(error: unknown, detail: Detail): void {
    if (!isPostbusError(error)) {
      this.report(error, 1, detail);
      return;
    }
    let reports = this.#coded.get(error.code);
    if (reports === undefined) {
      reports = new OnceAMinute((count, [last, about]) => this.report(last, count, about));
      this.#coded.set(error.code, reports);
    }
    reports.note([error, detail]);
  }
}
