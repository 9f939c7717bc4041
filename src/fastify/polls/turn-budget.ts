/**
 * Does what it is given in that order, but no more than so much in a turn of the event loop; between the shares, others
 * have their turn. It pauses while there is no room, until resume().
 */
export class TurnBudget {
  readonly #waiting: (() => void)[] = [];
  #left: number;
  #isScheduled = false;

  constructor(
    private readonly max: number,
    private readonly hasRoom: () => boolean = () => true,
  ) {
    this.#left = max;
  }

  /** At once, while there is room and something left of this turn's share. */
  add(act: () => void): void {
    this.#schedule();
    if (this.#left === 0 || this.#waiting.length > 0 || !this.hasRoom()) {
      this.#waiting.push(act);
    } else {
      this.#left--;
      act();
    }
  }

  /** There is room again. */
  resume(): void {
    if (this.#waiting.length > 0) this.#schedule();
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
    let done = 0;
    for (const act of this.#waiting.slice(0, this.max)) {
      if (!this.hasRoom()) break;
      done++;
      act();
    }
    this.#waiting.splice(0, done);
    // What comes meanwhile goes behind those that wait already.
    this.#left = this.#waiting.length > 0 ? 0 : this.max - done;
    if (done > 0) this.#schedule();
  }
}
