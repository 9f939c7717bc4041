import type { Database } from '../database/database.js';
import { errors } from '../foundation/errors.js';
import type { BatchSender } from './batch-sender.js';
import { type Entry, takeBatch } from './publication.js';

/**
 * Channels that another transaction has published to without having ended since, and what waits for them. Those that are
 * let go are sent at once; while there are none, one after the other waits for its lock, in case it is never free for long.
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
    const entries = [this.#inHand, ...this.#queues.values()].flat();
    this.#queues.clear();
    return entries;
  }

  /**
   * The keys of the channels that somebody holds; of all where Postgres does not tell: then each is tried on its own.
   * @throws POSTBUS_NO_PERMISSION where the role lacks the right to ask.
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
    // The caller goes on adding.
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

  /** Whether there was no lock in the way. */
  async #try(key: string): Promise<boolean> {
    const queue = this.#queues.get(key);
    if (!queue) return true;
    this.#inHand = takeBatch(queue);
    const left = await this.sender.send(this.#inHand);
    this.#inHand = [];
    queue.unshift(...left);
    // Closed meanwhile, or to the end of the line.
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

/** Tells those that have waited for so many ms that their messages are not published; returns the others. */
export function refuseLate(entries: Entry[], maxWait: number): Entry[] {
  const latest = performance.now() - maxWait;
  // Most often none: they are in the order of the calls.
  if (entries[0] === undefined || entries[0].since > latest) return entries;
  return entries.filter((entry) => {
    if (entry.since > latest) return true;
    entry.reject(new errors.LOCKED(entry.channel, maxWait));
    return false;
  });
}
