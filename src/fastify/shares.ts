/**
 * Does what it is given in that order, but no more than so much in a turn of the event loop; between the shares, others
 * have their turn.
 */
export class Shares {
  readonly #waiting: (() => void)[] = [];
  #left: number;
  #isScheduled = false;

  constructor(private readonly most: number) {
    this.#left = most;
  }

  /** At once, while there is something left of this turn's share. */
  add(act: () => void): void {
    this.#schedule();
    if (this.#left === 0) {
      this.#waiting.push(act);
    } else {
      this.#left--;
      act();
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#begin();
    });
  }

  #begin(): void {
    const share = this.#waiting.splice(0, this.most);
    // What comes meanwhile goes behind those that wait already.
    this.#left = this.#waiting.length > 0 ? 0 : this.most - share.length;
    if (share.length > 0) this.#schedule();
    for (const act of share) act();
  }
}
