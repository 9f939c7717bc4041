/**
 * Runs functions in the order given, at most `max` in a turn of the event loop, so that other work gets its turn in
 * between. While `hasRoom()` is false, it pauses until resume() is called.
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

  /** Runs `act` at once if there is room and this turn's budget is not used up; queues it otherwise. */
  add(act: () => void): void {
    this.#schedule();
    if (this.#left === 0 || this.#waiting.length > 0 || !this.hasRoom()) {
      this.#waiting.push(act);
    } else {
      this.#left--;
      act();
    }
  }

  /** Call this when hasRoom() has become true. */
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
    // While functions wait, those that are added in this turn queue behind them.
    this.#left = this.#waiting.length > 0 ? 0 : this.max - done;
    if (done > 0) this.#schedule();
  }
}
