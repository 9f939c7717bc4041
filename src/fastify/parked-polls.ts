import type { Poll } from './poll.js';

/** The polls under way on this node, by client, and how many of them may wait. */
export class ParkedPolls {
  readonly #byClient = new Map<string, Poll>();
  readonly #all = new Set<Poll>();
  #waiting = 0;
  #ended = false;

  /** Polls that wait, or will if they find nothing: counted from their start, so that many at once stay in the limit. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Lets a client's poll take over from its older one, which ends. False when it is the older one itself, arriving
   * late, or when all have ended.
   */
  enter(client: string, poll: Poll): boolean {
    const other = this.#byClient.get(client);
    if (this.#ended || (other && other.sequence > poll.sequence)) return false;
    this.#byClient.set(client, poll);
    this.#all.add(poll);
    if (poll.mayWait) this.#waiting++;
    other?.end();
    return true;
  }

  leave(client: string, poll: Poll): void {
    if (!this.#all.delete(poll)) return;
    if (poll.mayWait) this.#waiting--;
    if (this.#byClient.get(client) === poll) this.#byClient.delete(client);
  }

  /** For good: a poll whose lookups are still under way must not wait either. */
  endAll(): void {
    this.#ended = true;
    for (const poll of this.#all) poll.end();
  }
}
