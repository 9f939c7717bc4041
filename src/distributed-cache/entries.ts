import { type Change, type Publication, undo } from './change.js';
import { decode } from './codec.js';

/**
 * What one process shows. Its own changes take effect when they are made, and count from when their messages come back,
 * as everywhere; what comes before them in the channel would be replaced by them, so it is left out.
 */
export class Entries<Value> {
  readonly values = new Map<string, Value>();
  /** Values on their way, until they are there or the key changes. */
  readonly computing = new Map<string, Promise<Value>>();
  /** Keys that were changed here, with the number of the last such change, until it comes back. */
  readonly #underWay = new Map<string, number>();
  #clearUnderWay: number | undefined;

  /** A change made here. */
  begin(change: Change, number: number): void {
    this.#show(change);
    if (change.op === 'clear') {
      this.#underWay.clear();
      this.#clearUnderWay = number;
    } else {
      this.#underWay.set(change.key, number);
    }
  }

  /** Ends the wait for a change made here; true where it is what is shown. */
  settle(own: Publication): boolean {
    if (own.op === 'clear') {
      if (this.#clearUnderWay !== own.number) return false;
      this.#clearUnderWay = undefined;
    } else {
      if (this.#underWay.get(own.key) !== own.number) return false;
      this.#underWay.delete(own.key);
    }
    return true;
  }

  /** A change made here does not hold. */
  drop(own: Publication): void {
    if (this.settle(own)) this.apply(undo(own));
  }

  /** A change in its place among all. */
  apply(change: Change): void {
    if (change.op === 'clear') {
      for (const entries of [this.values, this.computing]) {
        for (const key of entries.keys()) if (!this.#underWay.has(key)) entries.delete(key);
      }
    } else if (this.#clearUnderWay === undefined && !this.#underWay.has(change.key)) {
      this.#show(change);
    }
  }

  forget(): void {
    this.values.clear();
    this.computing.clear();
    this.#underWay.clear();
    this.#clearUnderWay = undefined;
  }

  #show(change: Change): void {
    if (change.op === 'clear') {
      this.values.clear();
      this.computing.clear();
      return;
    }
    this.computing.delete(change.key);
    // Also where the new value turns out not to be one.
    this.values.delete(change.key);
    if (change.op === 'set') this.values.set(change.key, decode<Value>(change.value));
  }
}
