import type { BatchSender } from './batch-sender.js';
import { errors } from './errors.js';
import { type Entry, takeBatch } from './publication.js';

/**
 * Channels that another transaction has published to without having ended since, and what waits for it: each is tried on
 * its own, in turn, so that none delays a channel that is free. The wait for its lock is part of the attempt.
 */
export class HeldChannels {
  readonly #queues = new Map<string, Entry[]>();
  #sending: Promise<void> | undefined;

  constructor(
    private readonly sender: BatchSender,
    /** Ms after which a message that waits is refused. */
    private readonly maxWait: number,
  ) {}

  get size(): number {
    return this.#queues.size;
  }

  /** Resolves when no channel is held any more. */
  get sending(): Promise<void> | undefined {
    return this.#sending;
  }

  has(entry: Entry): boolean {
    return this.#queues.has(entry.channelKey);
  }

  /** Behind what waits for the same channel. */
  add(entry: Entry): void {
    const queue = this.#queues.get(entry.channelKey);
    if (queue) queue.push(entry);
    else this.#queues.set(entry.channelKey, [entry]);
    this.#sending ??= this.#sendAll();
  }

  /** Lets go of all that waits. */
  takeAll(): Entry[] {
    const entries = [...this.#queues.values()].flat();
    this.#queues.clear();
    return entries;
  }

  async #sendAll(): Promise<void> {
    // The caller goes on adding.
    await Promise.resolve();
    while (this.#queues.size > 0) {
      for (const [key, queue] of this.#queues) {
        const left = await this.sender.send(takeBatch(queue));
        queue.unshift(...refuseLate(left, this.maxWait));
        if (queue.length === 0) this.#queues.delete(key);
      }
    }
    this.#sending = undefined;
  }
}

/** Tells those that have waited for so many ms that their messages are not published; returns the others. */
export function refuseLate(entries: readonly Entry[], maxWait: number): Entry[] {
  const latest = Date.now() - maxWait;
  return entries.filter((entry) => {
    if (entry.since > latest) return true;
    entry.reject(new errors.LOCKED(entry.channel, maxWait));
    return false;
  });
}
