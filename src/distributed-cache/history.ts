import type { Change } from './change.js';

// If more keys have changed, the oldest are forgotten, and values that were computed before their change are not taken.
const maxKeys = 10_000;

/** Remembers which keys have changed lately, to tell whether a value that was computed meanwhile is up to date. */
export class History {
  /** By key, the id of the last message that changed it; the key that changed longest ago is first. */
  readonly #ids = new Map<string, number>();
  /** Changes up to this id are not known. */
  #start = 0;

  /** Forgets all keys: any of them may have changed up to this id. */
  restart(id: number): void {
    this.#ids.clear();
    this.#start = id;
  }

  /**
   * True if the change holds: a computed value does if its key has not changed since. Every process that has seen the
   * messages after `since` decides the same; one that has not seen them answers false.
   */
  admits(change: Change): boolean {
    if (change.op !== 'set' || change.since === undefined) return true;
    return change.since >= this.#start && (this.#ids.get(change.key) ?? 0) <= change.since;
  }

  note(change: Change, id: number): void {
    if (change.op === 'clear') {
      this.restart(id);
      return;
    }
    this.#ids.delete(change.key);
    this.#ids.set(change.key, id);
    if (this.#ids.size <= maxKeys) return;
    for (const [key, oldest] of this.#ids) {
      this.#ids.delete(key);
      this.#start = oldest;
      return;
    }
  }
}
