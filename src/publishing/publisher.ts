import type { Database } from '../database/database.js';
import { errors } from '../foundation/errors.js';
import { publishTrace, whereOf } from '../foundation/trace.js';
import { BatchSender } from './batch-sender.js';
import { HeldChannels, refuseLate } from './held-channels.js';
import { Entry, type Publication, takeBatch } from './publication.js';

/**
 * Sends messages in the order of the calls. While one batch is under way, the next one gathers. There is no timer: a
 * message that finds nothing under way leaves at the end of the turn of the event loop. One batch is sent at a time:
 * NOTIFY lets only one transaction commit at once anyway, and two batches would not keep the order. Exception: if
 * another transaction holds a channel's lock for too long, its messages leave the batch and are queued in HeldChannels.
 */
export class Publisher {
  readonly #database: Database;
  readonly #sender: BatchSender;
  readonly #held: HeldChannels;
  #waiting: Entry[] = [];
  #inHand: Entry[] = [];
  #sending: Promise<void> | undefined;

  constructor(database: Database) {
    this.#database = database;
    this.#sender = new BatchSender(database);
    this.#held = new HeldChannels(database, this.#sender);
  }

  /**
   * Queues a message. Resolves to its message id once it is durable.
   *
   * @throws POSTBUS_LOCKED if another transaction holds the channel's lock for `queryTimeout` ms;
   * POSTBUS_CONNECTION_LOST or another code of the database
   */
  publish(publication: Publication): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(new Entry(publication, resolve, reject));
      this.#sending ??= this.#sendAll();
    });
  }

  /**
   * Waits until the messages published so far are sent, for at most `ms` ms. Then rejects the callers of those that are
   * left: with POSTBUS_CONNECTION_LOST if their batch is under way, with POSTBUS_CLOSED otherwise.
   */
  async drain(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const isLate = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([this.#sendRest(), isLate]);
    clearTimeout(timer);
    this.#sender.giveUp();
    for (const entry of [...this.#inHand, ...this.#waiting.splice(0), ...this.#held.takeAll()]) {
      entry.reject(new errors.CLOSED());
    }
  }

  async #sendRest(): Promise<void> {
    while (this.#sending || this.#held.sending) await Promise.all([this.#sending, this.#held.sending]);
  }

  async #sendAll(): Promise<void> {
    // Let calls that follow in the same turn of the event loop join the batch.
    await new Promise((resolve) => process.nextTick(resolve));
    while (this.#waiting.length > 0) {
      if (this.#held.size > 0) this.#setAsideHeld();
      this.#inHand = takeBatch(this.#waiting);
      await this.#send(this.#inHand);
      this.#inHand = [];
      // Callers whose message was just published often publish again at once: let them join the next batch.
      await new Promise((resolve) => process.nextTick(resolve));
    }
    this.#sending = undefined;
  }

  /** Moves the waiting entries of held channels to HeldChannels, behind those of the same channel that wait there. */
  #setAsideHeld(): void {
    const entries = this.#waiting;
    this.#waiting = entries.filter((entry) => !this.#held.has(entry));
    for (const entry of entries) if (this.#held.has(entry)) this.#hold(entry);
  }

  #hold(entry: Entry): void {
    if (publishTrace.isOn) publishTrace.tell({ event: 'held', ...whereOf(entry.site, entry.channel) });
    this.#held.add(entry);
  }

  /**
   * Sends a batch. If another transaction holds a channel's lock, the messages of that channel are set aside, and the
   * rest is sent without the messages that were queued later, because those may be for held channels, too.
   */
  async #send(batch: Entry[]): Promise<void> {
    try {
      for (let left = await this.#sender.send(batch); left.length > 0; ) {
        left = await this.#sender.send(await this.#setAside(left));
      }
    } catch (error) {
      // This does nothing for entries whose callers have been answered already.
      for (const entry of batch) entry.reject(error);
    }
  }

  /**
   * Moves the entries of held channels to HeldChannels; resolves to the others. Entries that have waited for too long
   * are rejected with POSTBUS_LOCKED.
   */
  async #setAside(left: Entry[]): Promise<Entry[]> {
    const held = await this.#held.find(left);
    for (const entry of left) if (held.has(entry.channelKey)) this.#hold(entry);
    this.#waiting = refuseLate(this.#waiting, this.#database.queryTimeout);
    return refuseLate(
      left.filter((entry) => !held.has(entry.channelKey)),
      this.#database.queryTimeout,
    );
  }
}
