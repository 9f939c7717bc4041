import type { Cursor, Sink } from '../delivery/cursor.js';
import type { Dispatcher } from '../delivery/dispatcher.js';
import { errors } from '../foundation/errors.js';
import type { Logger } from '../foundation/logger.js';
import { type DeliveryEvent, deliverTrace, type TracedReader, whereOf } from '../foundation/trace.js';
import type { Codec } from '../messages/codec.js';
import type { Batch } from '../messages/frame.js';
import { type Message, StoredMessage } from '../messages/message.js';

/**
 * Called with each message. Gets the subscription, too, because the first messages may come before bus.subscribe() has
 * resolved to it.
 */
export type MessageCallback<Data = unknown> = (message: Message<Data>, subscription: Subscription) => unknown;

/**
 * Messages that a subscriber has missed for good or cannot decode. Ids are message ids of the channel; if `channel` is
 * null, they are global ids.
 */
export interface Gap {
  channel: string | null;
  /** Id of the last message before the gap. */
  after: number;
  /**
   * Id of the first message after the gap. It is not above `after` if ids went back, for example because a backup was
   * restored: then the subscriber has also seen messages that no longer exist.
   */
  firstId: number;
}

/** The subscription that bus.subscribe() resolves to. */
export interface Subscription {
  /** The channel; null for all channels. */
  readonly channel: string | null;
  /**
   * Ends the subscription: the callback is not called again. Does not wait for a call of the callback that is under
   * way, because that may be the one that unsubscribes, and would wait for itself.
   */
  unsubscribe(): Promise<void>;
}

export interface SubscriptionOptions {
  dispatcher: Dispatcher;
  logger: Logger;
  channel: string | null;
  site: string;
  position: number;
  /** Declared as a method, so that callbacks for a narrower type of data fit; nobody checks that type. */
  callback(message: Message, subscription: Subscription): unknown;
  codec: Codec | undefined;
  onGap: ((gap: Gap) => unknown) | undefined;
  onEnd: (subscription: CallbackSubscription) => void;
  /** Called if a read fails, except during start(); the read is tried again. */
  onReadFailed: (error: unknown) => void;
}

// Messages that a callback slower than the publishers keeps in memory; later ones are read from the tables when their
// turn comes.
const maxQueued = 1000;
const retryMs = 1_000;

/**
 * Calls a function with each message, in order, one at a time: if it returns a promise, the next call waits for that.
 * If a call fails, the error is logged, and the next message follows. A slow callback holds up only itself.
 */
export class CallbackSubscription implements Subscription, Sink {
  readonly channel: string | null;
  readonly tracedAs: TracedReader = { kind: 'callback' };
  #cursor: Cursor | undefined;
  #queue: (StoredMessage | Gap)[] = [];
  /** Id up to which all messages are queued, or known to be missed; undefined before the start. */
  #place: number | undefined;
  /** Set if the queue was full: messages after this id must be read again. */
  #resumeAfter: number | undefined;
  /** The dispatcher's era at the time when the cursor was opened. */
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

  /**
   * Starts the subscription. Resolves once it has its place: every message that is published from then on reaches it.
   * Rejects if the backlog cannot be read, and ends the subscription.
   */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#starting = { resolve, reject };
      this.#open(this.options.position);
    });
  }

  /**
   * Starts the subscription if it has not been started, for example because the bus was off. Nobody waits for it: a
   * start that fails is tried again.
   */
  begin(): void {
    if (this.#cursor === undefined) this.#open(this.options.position);
  }

  isOf(site: string, channel: string | null, callback: MessageCallback<never>): boolean {
    return this.channel === channel && this.options.site === site && this.options.callback === callback;
  }

  async unsubscribe(): Promise<void> {
    // The callback may unsubscribe while the backlog is being handed over: subscribe() then resolves without waiting
    // for the rest.
    this.onStarted();
    this.end();
  }

  /** Ends the subscription, for the bus. */
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
    // A position such as "the last three messages" becomes an id with the first message that is there.
    const [first] = batch.messages;
    this.#place ??= first ? idOf(first) - 1 : cursor.position;
    for (const message of batch.messages) {
      if (this.#queue.length >= maxQueued) {
        // Close the cursor: what it would deliver from here on is in the table, and is read later.
        this.#resumeAfter = this.#place;
        cursor.close();
        // A closed cursor does not report that it has started. But the place is known, and no later message can be
        // missed.
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
    // If the past changed while there was no cursor, nobody knows where this id lies in the new past: go on from now
    // on.
    const from = this.#era === undefined || this.#era === dispatcher.era ? position : -1;
    this.#era = dispatcher.era;
    this.#cursor = channel === null ? dispatcher.openAll(from, this) : dispatcher.open(site, channel, from, this);
    this.#cursor.start();
  }

  /** Moves the place to this id without messages, forward or back, if it is not there already. */
  #skipTo(id: number): void {
    if (this.#place !== id) this.#jumpTo(id);
  }

  /** Moves the place to this id, and queues a gap even if the id is the same: it may belong to another message now. */
  #jumpTo(id: number): void {
    if (this.#place === undefined) return;
    this.#queue.push({ channel: this.channel, after: this.#place, firstId: id + 1 });
    this.#place = id;
  }

  async #tellOfGap(gap: Gap): Promise<void> {
    const { onGap, logger } = this.options;
    if (onGap) await onGap(gap);
    // A subscriber that begins at 0 asks for whatever is there, so it has missed nothing.
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
      // This subscriber cannot get the message any more: report it as a gap.
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
