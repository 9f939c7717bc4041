/** A poll under way on this node. */
export interface ParkedPoll {
  /** Identifies the client: site, user and client id. */
  readonly client: string;
  /** Of two polls of one client, the one with the higher number is newer. */
  readonly sequence: number;
  /** When the wait ends, in ms of performance.now(); undefined until the poll waits. */
  deadline: number | undefined;
  /** Answers the poll with the messages that it has, or none. */
  end(): void;
}

/** The polls under way on this node, by client, and the times at which their waits end. */
export class ParkedPolls {
  readonly #byClient = new Map<string, ParkedPoll>();
  /**
   * All polls under way; those that wait are in the order in which they began to. All wait equally long, so one timer
   * is enough.
   */
  readonly #all = new Set<ParkedPoll>();
  #ended = false;
  #timer: NodeJS.Timeout | undefined;

  /** `interval`: ms that a poll waits. */
  constructor(private readonly interval: number) {}

  /**
   * Registers a poll, and ends the older one of the same client. Returns false if this poll is the older one, arriving
   * late, or if endAll() was called.
   */
  enter(poll: ParkedPoll): boolean {
    const other = this.#byClient.get(poll.client);
    if (this.#ended || (other && other.sequence > poll.sequence)) return false;
    this.#byClient.set(poll.client, poll);
    this.#all.add(poll);
    other?.end();
    return true;
  }

  /** Lets a poll wait from now on; it ends after the interval. */
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

  /** Ends all polls, and lets none enter any more: a poll whose lookups are still running must not wait either. */
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
