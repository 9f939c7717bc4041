import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Owner } from '../helpers/owner.js';
import type { Figures } from './figures.js';
import { Random } from './random.js';

/** Thrown by a scenario that this machine cannot run; the message says what is missing. */
export class Skipped extends Error {}

/** What the programs of a run have in common. */
export interface Run {
  readonly seed: number;
  /** How long each scenario makes trouble. */
  readonly seconds: number;
  /** A data folder with a migrated database, for scenarios to copy. */
  readonly template: string;
}

/** What one scenario is given: time, random numbers, and the end of everything that it starts. */
export class Stage implements Owner {
  readonly random: Random;
  /** Faults that the scenario has made, by name. */
  readonly faults = new Map<string, number>();
  figures: Figures | undefined;
  readonly #ends: (() => unknown)[] = [];

  constructor(readonly run: Run) {
    this.random = new Random(run.seed);
  }

  get seconds(): number {
    return this.run.seconds;
  }

  teardown(end: () => unknown): void {
    this.#ends.push(end);
  }

  /** A folder of the scenario's own. */
  folder(): string {
    const folder = mkdtempSync(join(tmpdir(), 'postbus-chaos-'));
    this.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
    return folder;
  }

  made(fault: string, times = 1): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + times);
  }

  /** Something that the accounts do not show, and that is wrong all the same. */
  complain(text: string): void {
    if (this.figures) this.figures = { ...this.figures, wrong: [...this.figures.wrong, text] };
  }

  /** Repeats a round of trouble until the time of the scenario is over, at least once; each begins after a random pause. */
  async keep(round: () => Promise<unknown>, pauseMs = 300): Promise<void> {
    const end = Date.now() + this.seconds * 1_000;
    do {
      await delay(this.random.between(pauseMs / 2, pauseMs * 1.5));
      await round();
    } while (Date.now() < end);
  }

  /** Ends everything, last first, whatever fails on the way. */
  async end(): Promise<void> {
    for (let end = this.#ends.pop(); end; end = this.#ends.pop()) {
      try {
        await end();
      } catch (error) {
        console.log(error);
      }
    }
  }
}
