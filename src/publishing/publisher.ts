import type { Database } from '../database/database.js';
import { errors } from '../foundation/errors.js';
import { publishTrace, whereOf } from '../foundation/trace.js';
import { BatchSender } from './batch-sender.js';
import { HeldChannels, refuseLate } from './held-channels.js';
import { Entry, type Publication, takeBatch } from './publication.js';

/**
 * Sends messages in the order of the calls. While one batch is under way the next one gathers; there is no timer:
 * a message that finds nothing under way leaves at the end of the turn. One batch at a time: NOTIFY lets only one
 * transaction commit at once anyway, and two would not keep the order. But for the channels that somebody holds: a batch
 * that does not get its locks in time goes on without those.
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

  publish(publication: Publication): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(new Entry(publication, resolve, reject));
      this.#sending ??= this.#sendAll();
    });
  }

  /** Waits for what was published so far, at most for so many ms; what is left then is refused. */
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
    // Let the callers that go on in this turn join the batch.
    await new Promise((resolve) => process.nextTick(resolve));
    while (this.#waiting.length > 0) {
      if (this.#held.size > 0) this.#setAsideHeld();
      this.#inHand = takeBatch(this.#waiting);
      await this.#send(this.#inHand);
      this.#inHand = [];
      // The callers who were just answered often publish again at once.
      await new Promise((resolve) => process.nextTick(resolve));
    }
    this.#sending = undefined;
  }

  /** Behind those of the same channel that wait already. */
  #setAsideHeld(): void {
    const entries = this.#waiting;
    this.#waiting = entries.filter((entry) => !this.#held.has(entry));
    for (const entry of entries) if (this.#held.has(entry)) this.#hold(entry);
  }

  #hold(entry: Entry): void {
    if (publishTrace.isOn) publishTrace.tell({ event: 'held', ...whereOf(entry.site, entry.channel) });
    this.#held.add(entry);
  }

  /** Where others hold a lock: without those channels, and without what came later, which may be to held ones too. */
  async #send(batch: Entry[]): Promise<void> {
    try {
      for (let left = await this.#sender.send(batch); left.length > 0; ) {
        left = await this.#sender.send(await this.#setAside(left));
      }
    } catch (error) {
      // To those that are answered already, this says nothing.
      for (const entry of batch) entry.reject(error);
    }
  }

  /** The messages to channels that are held wait apart. Returns the others. */
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
