import { cpus } from 'node:os';

/** What the cores of this machine do from here on. */
export class CoreUsage {
  readonly #before = times();

  /** Share of the time in which they were busy; the time is theirs, all together. */
  busy(): number {
    const after = times();
    return 1 - (after.idle - this.#before.idle) / Math.max(1, after.total - this.#before.total);
  }
}

function times(): { idle: number; total: number } {
  let idle = 0;
  let total = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    total += times.user + times.nice + times.sys + times.irq + times.idle;
  }
  return { idle, total };
}
