import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from './machine.js';
import type { Outcome } from './measurement.js';
import type { Pace } from './pace.js';

/** A target's last measurement, as it is kept. */
export interface Result {
  target: number;
  name: string;
  title: string;
  how: string;
  measuredAt: string;
  /** How long it took, in seconds. */
  took: number;
  commit: string;
  pace: Pace['name'];
  machine: Machine;
  outcome: Outcome;
}

export function saveResult(folder: string, result: Result): void {
  mkdirSync(folder, { recursive: true });
  const name = `${String(result.target).padStart(2, '0')}-${result.name}.json`;
  // No more digits than mean something.
  const text = JSON.stringify(
    result,
    (_key, value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(6)) : value),
    1,
  );
  writeFileSync(join(folder, name), `${text}\n`);
}

/** In the order of their targets. */
export function loadResults(folder: string): Result[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name): Result => JSON.parse(readFileSync(join(folder, name), 'utf8')));
}
