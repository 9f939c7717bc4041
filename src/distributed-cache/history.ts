import type { Change } from './change.js';

// Beyond, the oldest are forgotten, and what was computed before them is not taken.
const maxKeys = 10_000;

/** Which keys have changed lately: tells whether a value that was computed meanwhile is up to date. */
export class History {
  /** Id of the last message that changed a key, the longest ago first. */
  readonly #ids = new Map<string, number>();
  /** Nothing is known of what changed up to this id. */
  #start = 0;

  /** Anything may have changed up to this id. */
  restart(id: number): void {
    this.#ids.clear();
    this.#start = id;
  }

  /** The same in every process that has seen what came after `since`; one that has not says no. */
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
