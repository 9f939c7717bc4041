import type { Cursor, Sink } from '../delivery/cursor.js';
import type { Dispatcher } from '../delivery/dispatcher.js';
import { errors } from '../foundation/errors.js';
import type { Logger } from '../foundation/logger.js';
import { type DeliveryEvent, deliverTrace, type TracedReader, whereOf } from '../foundation/trace.js';
import type { Codec } from '../messages/codec.js';
import type { Batch } from '../messages/frame.js';
import { type Message, StoredMessage } from '../messages/message.js';

/** The subscription comes along because the first messages may come before bus.subscribe() has given it back. */
export type MessageCallback<Data = unknown> = (message: Message<Data>, subscription: Subscription) => unknown;

/** Messages that a subscriber has missed for good, or cannot decode. Ids are those of the channel, or global ones where it is null. */
export interface Gap {
  channel: string | null;
  /** The last message before it. */
  after: number;
  /**
   * The id with which it goes on. Not above `after` where ids went back, as after the restore of a backup: then the
   * subscriber has also seen what never was.
   */
  firstId: number;
}

/** What bus.subscribe() gives back. */
export interface Subscription {
  /** null: all channels. */
  readonly channel: string | null;
  /**
   * Stops it: the callback is not called again. Does not wait for a call that is under way, because that may be the one
   * that unsubscribes: it would wait for itself.
   */
  unsubscribe(): Promise<void>;
}

export interface SubscriptionOptions {
  dispatcher: Dispatcher;
  logger: Logger;
  channel: string | null;
  site: string;
  position: number;
  /** A method, because its message has the type of data that the subscriber expects: nobody checks it. */
  callback(message: Message, subscription: Subscription): unknown;
  codec: Codec | undefined;
  onGap: ((gap: Gap) => unknown) | undefined;
  onEnd: (subscription: CallbackSubscription) => void;
  /** What came while a subscriber was too slow could not be read; it is tried again. */
  onReadFailed: (error: unknown) => void;
}

// A callback that is slower than the messages keeps so many in memory; what comes then is read again later.
const maxQueued = 1000;
const retryMs = 1_000;

/**
 * Calls a function with each message, one at a time and in order, also when it is async. A callback that throws is
 * reported and goes on with the next message; a slow one holds back only itself.
 */
export class CallbackSubscription implements Subscription, Sink {
  readonly channel: string | null;
  readonly tracedAs: TracedReader = { kind: 'callback' };
  #cursor: Cursor | undefined;
  #queue: (StoredMessage | Gap)[] = [];
  /** The id up to which all is queued or known to be gone; undefined before the start. */
  #place: number | undefined;
  /** Set when the queue was full: messages after this one are to be read again. */
  #resumeAfter: number | undefined;
  /** The dispatcher's when the cursor was opened. */
  #era: number | undefined;
  #running = false;
  #ended = false;
  #starting: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(private readonly options: SubscriptionOptions) {
    const { callback, onGap } = options;
    if (typeof callback !== 'function') throw new errors.BAD_OPTION('callback', 'must be a function');
    if (onGap !== undefined && typeof onGap !== 'function') throw new errors.BAD_OPTION('onGap', 'must be a function');
    this.channel = options.channel;
    if (options.position >= 0) this.#place = options.position;
  }

  /** Resolves when the subscription has its place: whatever is published from then on reaches it. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#starting = { resolve, reject };
      this.#open(this.options.position);
    });
  }

  /** Starts it where it was not, for nobody who waits: a start that fails is tried again. */
  begin(): void {
    if (this.#cursor === undefined) this.#open(this.options.position);
  }

  isOf(site: string, channel: string | null, callback: MessageCallback<never>): boolean {
    return this.channel === channel && this.options.site === site && this.options.callback === callback;
  }

  async unsubscribe(): Promise<void> {
    // By the callback, while the backlog comes: whoever subscribed need not wait for the rest of it.
    this.onStarted();
    this.end();
  }

  /** Ends it for the bus. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#queue = [];
    this.#cursor?.close();
    clearTimeout(this.#retry);
    this.#starting?.reject(new errors.CLOSED());
    this.#starting = undefined;
    this.options.onEnd(this);
  }

  onBatch(cursor: Cursor, batch: Batch): void {
    const { idOf } = cursor.feed.source;
    // "The last three" are those that there are.
    const [first] = batch.messages;
    this.#place ??= first ? idOf(first) - 1 : cursor.position;
    for (const message of batch.messages) {
      if (this.#queue.length >= maxQueued) {
        // Let go of the feed: what it sends from here on is in the table.
        this.#resumeAfter = this.#place;
        cursor.close();
        // The cursor will not say so any more; but the place is known, and nothing after it is missed.
        this.onStarted();
        break;
      }
      const id = idOf(message);
      this.#skipTo(id - 1);
      this.#place = id;
      this.#queue.push(message);
    }
    if (this.#resumeAfter === undefined) this.#skipTo(cursor.position);
    if (!this.#running) void this.#run();
  }

  onMovedBack(cursor: Cursor): void {
    this.#jumpTo(cursor.position);
    if (!this.#running) void this.#run();
  }

  onStarted(): void {
    this.#starting?.resolve();
    this.#starting = undefined;
  }

  onFailed(cursor: Cursor, error: unknown): void {
    if (this.#starting) {
      this.#starting.reject(error);
      this.#starting = undefined;
      this.end();
    } else {
      this.options.onReadFailed(error);
      this.#retry = setTimeout(() => this.#open(cursor.position), retryMs);
    }
  }

  #open(position: number): void {
    const { dispatcher, channel, site } = this.options;
    // While it had no cursor, the past became another one: where this id lies in it, nobody knows. It goes on from now on.
    const from = this.#era === undefined || this.#era === dispatcher.era ? position : -1;
    this.#era = dispatcher.era;
    this.#cursor = channel === null ? dispatcher.openAll(from, this) : dispatcher.open(site, channel, from, this);
    this.#cursor.start();
  }

  /** Ids have gone on to this one, or back to it, without messages. */
  #skipTo(id: number): void {
    if (this.#place !== id) this.#jumpTo(id);
  }

  /** The same, also where the id is the same: it may be another message's now. */
  #jumpTo(id: number): void {
    if (this.#place === undefined) return;
    this.#queue.push({ channel: this.channel, after: this.#place, firstId: id + 1 });
    this.#place = id;
  }

  async #tellOfGap(gap: Gap): Promise<void> {
    const { onGap, logger } = this.options;
    if (onGap) await onGap(gap);
    // Who asks for all from 0 asks for what there is.
    else if (gap.after > 0) logger.warn(gap, 'a subscriber has missed messages that can no longer be read');
  }

  async #call(stored: StoredMessage): Promise<void> {
    const { codec, callback, onGap } = this.options;
    let message: Message;
    try {
      message = stored.toMessage(codec);
    } catch (error) {
      this.#report(error);
      if (deliverTrace.isOn) this.#trace({ event: 'failed', error });
      // Missed for good, by this subscriber.
      const id = this.#idOf(stored);
      await onGap?.({ channel: this.channel, after: id - 1, firstId: id + 1 });
      return;
    }
    if (deliverTrace.isOn) this.#trace({ event: 'handed', messageIds: [this.#idOf(stored)] });
    await callback(message, this);
  }

  #idOf(stored: StoredMessage): number {
    return this.channel === null ? stored.globalId : stored.messageId;
  }

  #trace(what: DeliveryEvent): void {
    deliverTrace.tell({ ...whereOf(this.options.site, this.channel), reader: this.tracedAs, ...what });
  }

  #report(err: unknown): void {
    this.options.logger.error({ err, channel: this.channel }, 'a subscriber failed');
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let next = this.#queue.shift(); next && !this.#ended; next = this.#queue.shift()) {
      try {
        if (next instanceof StoredMessage) await this.#call(next);
        else await this.#tellOfGap(next);
      } catch (error) {
        this.#report(error);
      }
      if (this.#queue.length === 0 && this.#resumeAfter !== undefined && !this.#ended) {
        const after = this.#resumeAfter;
        this.#resumeAfter = undefined;
        this.#open(after);
      }
    }
    this.#running = false;
  }
}
