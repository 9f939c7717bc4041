import type { Database } from '../database/database.js';
import { errors } from '../foundation/errors.js';
import type { BatchSender } from './batch-sender.js';
import { type Entry, takeBatch } from './publication.js';

/**
 * The messages for held channels (channels whose row another transaction has locked), a queue for each channel.
 * Channels whose lock has been released are sent first. If none has, we try one after the other with a lock timeout, so
 * that a lock that is free only for moments is still caught.
 */
export class HeldChannels {
  readonly #queues = new Map<string, Entry[]>();
  #inHand: Entry[] = [];
  #sending: Promise<void> | undefined;

  constructor(
    private readonly database: Database,
    private readonly sender: BatchSender,
  ) {}

  get size(): number {
    return this.#queues.size;
  }

  /** Resolves once no message waits here any more. Undefined while none does. */
  get sending(): Promise<void> | undefined {
    return this.#sending;
  }

  has(entry: Entry): boolean {
    return this.#queues.has(entry.channelKey);
  }

  /** Queues an entry, behind those that wait for the same channel. */
  add(entry: Entry): void {
    const queue = this.#queues.get(entry.channelKey);
    if (queue) queue.push(entry);
    else this.#queues.set(entry.channelKey, [entry]);
    this.#sending ??= this.#sendAll();
  }

  /** Empties the queues. Returns all entries that waited in them or are under way. */
  takeAll(): Entry[] {
    const entries = [this.#inHand, ...this.#queues.values()].flat();
    this.#queues.clear();
    return entries;
  }

  /**
   * Resolves to the keys of those channels of `entries` whose row another transaction has locked. If Postgres cannot
   * tell, resolves to the keys of all of them, so that each channel is tried on its own.
   *
   * @throws POSTBUS_NO_PERMISSION if the role lacks the right to ask
   */
  async find(entries: Iterable<Entry>): Promise<Set<string>> {
    const channels = new Map<string, Entry>();
    for (const entry of entries) channels.set(entry.channelKey, entry);
    const names = [...channels.values()];
    try {
      const [row] = await this.database.read<{ held: boolean[] }>(
        `select ${this.database.name('held_channels')}($1, $2) as held`,
        [names.map(({ site }) => site), names.map(({ channel }) => channel)],
      );
      return new Set([...channels.keys()].filter((_, i) => row?.held[i]));
    } catch (error) {
      if (error instanceof errors.NO_PERMISSION) throw error;
      return new Set(channels.keys());
    }
  }

  async #sendAll(): Promise<void> {
    // Let the caller finish first: it may add more entries in the same turn.
    await Promise.resolve();
    while (this.#queues.size > 0) {
      const keys = [...this.#queues.keys()];
      const heads = [...this.#queues.values()].flatMap((queue) => queue.slice(0, 1));
      const held = await this.find(heads).catch(() => new Set(keys));
      const free = keys.filter((key) => !held.has(key));
      for (const key of free.length > 0 ? free : keys.slice(0, 1)) {
        if (await this.#try(key)) continue;
        this.#refuseLate();
        break;
      }
    }
    this.#sending = undefined;
  }

  /** Sends the next batch of a channel. Resolves to false if a lock was in the way. */
  async #try(key: string): Promise<boolean> {
    const queue = this.#queues.get(key);
    if (!queue) return true;
    this.#inHand = takeBatch(queue);
    const left = await this.sender.send(this.#inHand);
    this.#inHand = [];
    queue.unshift(...left);
    // The channel goes to the end of the line. If takeAll() has removed the queue meanwhile, it stays removed.
    if (this.#queues.delete(key) && queue.length > 0) this.#queues.set(key, queue);
    return left.length === 0;
  }

  #refuseLate(): void {
    for (const [key, queue] of this.#queues) {
      const rest = refuseLate(queue, this.database.queryTimeout);
      if (rest.length > 0) this.#queues.set(key, rest);
      else this.#queues.delete(key);
    }
  }
}

/** Rejects the callers of entries that have waited for `maxWait` ms, with POSTBUS_LOCKED. Returns the other entries. */
export function refuseLate(entries: Entry[], maxWait: number): Entry[] {
  const latest = performance.now() - maxWait;
  // Entries are in the order of the calls: if the first one is not late, none is. That is the usual case.
  if (entries[0] === undefined || entries[0].since > latest) return entries;
  return entries.filter((entry) => {
    if (entry.since > latest) return true;
    entry.reject(new errors.LOCKED(entry.channel, maxWait));
    return false;
  });
}
