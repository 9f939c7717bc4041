import { type Change, type Publication, undo } from './change.js';
import { decode } from './codec.js';

/**
 * The entries that one process shows. Its own changes take effect here when they are made, and in the order of the
 * channel when their messages come back, as in every process. Until then, earlier changes in the channel are left out,
 * because the own change would replace them.
 */
export class Entries<Value> {
  readonly values = new Map<string, Value>();
  /** Values that are being computed, until they are there or the key changes. */
  readonly computing = new Map<string, Promise<Value>>();
  /** Keys that were changed here, with the number of the last such change, until its message comes back. */
  readonly #underWay = new Map<string, number>();
  #clearUnderWay: number | undefined;

  /** Shows a change made here, before it is published. */
  begin(change: Change, number: number): void {
    this.#show(change);
    if (change.op === 'clear') {
      this.#underWay.clear();
      this.#clearUnderWay = number;
    } else {
      this.#underWay.set(change.key, number);
    }
  }

  /** Ends the wait for a change made here. Returns true if it is the one that is shown. */
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

  /** Called if a change made here does not hold. */
  drop(own: Publication): void {
    if (this.settle(own)) this.apply(undo(own));
  }

  /** Applies a change that came through the channel, in its order. */
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
    // Also if decode() then throws, because the new value makes no sense.
    this.values.delete(change.key);
    if (change.op === 'set') this.values.set(change.key, decode<Value>(change.value));
  }
}
