import type { Poll } from './poll.js';

/** The polls under way on this node, by client, and how many of them wait. */
export class ParkedPolls {
  readonly #byClient = new Map<string, Poll>();
  readonly #all = new Set<Poll>();
  #parked = 0;

  get parked(): number {
    return this.#parked;
  }

  /**
   * Lets a client's poll take over from its older one, which ends. False when it is the older one itself, arriving late.
   */
  enter(client: string, poll: Poll): boolean {
    const other = this.#byClient.get(client);
    if (other && other.sequence > poll.sequence) return false;
    this.#byClient.set(client, poll);
    this.#all.add(poll);
    other?.end();
    return true;
  }

  park(): void {
    this.#parked++;
  }

  leave(client: string, poll: Poll): void {
    if (poll.isParked) this.#parked--;
    this.#all.delete(poll);
    if (this.#byClient.get(client) === poll) this.#byClient.delete(client);
  }

  endAll(): void {
    for (const poll of this.#all) poll.end();
  }
}
