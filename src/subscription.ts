import type { Cursor, Sink } from './dispatcher/cursor.js';
import type { Dispatcher } from './dispatcher/dispatcher.js';
import { errors } from './errors.js';
import type { Batch } from './frame.js';
import type { Message, StoredMessage } from './message.js';

/** The subscription comes along because the first messages may come before bus.subscribe() has given it back. */
export type MessageCallback<Data = unknown> = (message: Message<Data>, subscription: Subscription) => unknown;

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
  channel: string | null;
  site: string;
  position: number;
  callback: MessageCallback;
  onError: (error: unknown) => void;
  onEnd: (subscription: CallbackSubscription) => void;
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
  #cursor: Cursor | undefined;
  #queue: StoredMessage[] = [];
  /** Set when the queue was full: messages after this one are to be read again. */
  #resumeAfter: number | undefined;
  #running = false;
  #ended = false;
  #starting: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(private readonly options: SubscriptionOptions) {
    this.channel = options.channel;
  }

  /** Resolves when the subscription has its place: whatever is published from then on reaches it. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#starting = { resolve, reject };
      this.#open(this.options.position);
    });
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

  onBatch(_cursor: Cursor, batch: Batch): void {
    const room = maxQueued - this.#queue.length;
    this.#queue.push(...batch.messages.slice(0, room));
    if (batch.messages.length > room) {
      // Let go of the feed: what it sends from here on is in the table.
      const last = this.#queue.at(-1);
      this.#resumeAfter = last && (this.channel === null ? last.globalId : last.messageId);
      this.#cursor?.close();
      // The cursor will not say so any more; but the place is known, and nothing after it is missed.
      this.onStarted();
    }
    if (!this.#running) void this.#run();
  }

  onMovedBack(): void {}

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
      this.options.onError(error);
      this.#retry = setTimeout(() => this.#open(cursor.position), retryMs);
    }
  }

  #open(position: number): void {
    const { dispatcher, channel, site } = this.options;
    this.#cursor =
      channel === null ? dispatcher.openAll(position, this) : dispatcher.open(site, channel, position, this);
    this.#cursor.start();
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let message = this.#queue.shift(); message && !this.#ended; message = this.#queue.shift()) {
      try {
        await this.options.callback(message.toMessage(), this);
      } catch (error) {
        this.options.onError(error);
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
