/** A poll under way. */
export interface ParkedPoll {
  /** Tells clients apart. */
  readonly client: string;
  /** Of the same client, the poll with the higher number is the newer one. */
  readonly sequence: number;
  /** When it has waited its time, in ms of performance.now(); undefined until it waits. */
  deadline: number | undefined;
  /** Answers it with what it has, or nothing. */
  end(): void;
}

/** The polls under way on this node, by client, and when each has waited its time. */
export class ParkedPolls {
  readonly #byClient = new Map<string, ParkedPoll>();
  /** Those that wait, in the order in which they began to: all wait equally long, so one timer is enough. */
  readonly #all = new Set<ParkedPoll>();
  #ended = false;
  #timer: NodeJS.Timeout | undefined;

  /** `interval`: ms that a poll waits. */
  constructor(private readonly interval: number) {}

  /**
   * Lets a client's poll take over from its older one, which ends. False when it is the older one itself, arriving
   * late, or when all have ended.
   */
  enter(poll: ParkedPoll): boolean {
    const other = this.#byClient.get(poll.client);
    if (this.#ended || (other && other.sequence > poll.sequence)) return false;
    this.#byClient.set(poll.client, poll);
    this.#all.add(poll);
    other?.end();
    return true;
  }

  /** It waits from now on, and ends at the interval. */
  park(poll: ParkedPoll): void {
    poll.deadline = Math.floor(performance.now()) + this.interval;
    this.#all.delete(poll);
    this.#all.add(poll);
    this.#timer ??= setTimeout(() => this.#endDue(), this.interval).unref();
  }

  leave(poll: ParkedPoll): void {
    if (!this.#all.delete(poll)) return;
    if (this.#byClient.get(poll.client) === poll) this.#byClient.delete(poll.client);
  }

  /** For good: a poll whose lookups are still under way must not wait either. */
  endAll(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    for (const poll of this.#all) poll.end();
  }

  #endDue(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const poll of this.#all) {
      if (poll.deadline === undefined) continue;
      if (poll.deadline > now) {
        this.#timer = setTimeout(() => this.#endDue(), poll.deadline - now).unref();
        return;
      }
      poll.end();
    }
  }
}
