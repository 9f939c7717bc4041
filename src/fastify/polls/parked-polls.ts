import type { Poll } from './poll.js';

/** The polls under way on this node, by client, and when each has waited its time. */
export class ParkedPolls {
  readonly #byClient = new Map<string, Poll>();
  /** Those that wait, in the order in which they began to: all wait equally long, so one timer is enough. */
  readonly #all = new Set<Poll>();
  #ended = false;
  #timer: NodeJS.Timeout | undefined;

  /** `interval`: ms that a poll waits. */
  constructor(private readonly interval: number) {}

  /**
   * Lets a client's poll take over from its older one, which ends. False when it is the older one itself, arriving
   * late, or when all have ended.
   */
  enter(poll: Poll): boolean {
    const other = this.#byClient.get(poll.client);
    if (this.#ended || (other && other.sequence > poll.sequence)) return false;
    this.#byClient.set(poll.client, poll);
    this.#all.add(poll);
    other?.end();
    return true;
  }

  /** It waits from now on, and ends at the interval. */
  park(poll: Poll): void {
    poll.deadline = Math.floor(performance.now()) + this.interval;
    this.#all.delete(poll);
    this.#all.add(poll);
    this.#timer ??= setTimeout(() => this.#endDue(), this.interval).unref();
  }

  leave(poll: Poll): void {
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
