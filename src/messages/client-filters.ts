import { checkChannel } from '../foundation/checks.js';
import { errors } from '../foundation/errors.js';
import type { Logger } from '../foundation/logger.js';
import { ThrottledLog } from '../foundation/throttled-log.js';
import type { Codec } from './codec.js';
import { Batch } from './frame.js';
import type { Message, StoredMessage } from './message.js';

/** Returns whether clients may be shown a message. Must not be async. */
export type ClientMessageFilter<Data = unknown> = (message: Message<Data>) => boolean;

interface Registered {
  prefix: string;
  filter: ClientMessageFilter<never>;
  /** The last failure, for the log, which gets one entry a minute at most. */
  error: unknown;
  failures: ThrottledLog;
}

/**
 * The filters of bus.registerClientMessageFilter(). A message passes if every filter lets it pass whose prefix its
 * channel has.
 */
export class ClientFilters {
  readonly #filters: Registered[] = [];
  /**
   * The results of this turn of the event loop. A batch goes to thousands of polls, so it is filtered once a turn, but
   * no longer kept: what a filter answers may change with time.
   */
  #decided = new Map<Batch, Batch>();

  constructor(
    private readonly logger: Logger,
    private readonly codec?: Codec,
  ) {}

  register(prefix: string, filter: ClientMessageFilter<never>): void {
    checkChannel(prefix, 'prefix');
    if (typeof filter !== 'function') throw new errors.BAD_OPTION('filter', 'must be a function');
    const registered: Registered = {
      prefix,
      filter,
      error: undefined,
      failures: new ThrottledLog((count) =>
        this.logger.error(
          { err: registered.error, prefix, count },
          'a client message filter failed; it hid the message',
        ),
      ),
    };
    this.#filters.push(registered);
  }

  /** The messages of a batch that the filters let pass; the batch itself if all of them pass. */
  apply(batch: Batch): Batch {
    if (this.#filters.length === 0) return batch;
    let decided = this.#decided.get(batch);
    if (decided === undefined) {
      const messages = batch.messages.filter((message) => this.#passes(message));
      decided = messages.length === batch.messages.length ? batch : new Batch(messages);
      if (this.#decided.size === 0) setImmediate(() => this.#decided.clear());
      this.#decided.set(batch, decided);
    }
    return decided;
  }

  #passes(message: StoredMessage): boolean {
    return this.#filters.every((each) => !message.channel.startsWith(each.prefix) || this.#passesFilter(each, message));
  }

  #passesFilter(registered: Registered, message: StoredMessage): boolean {
    try {
      // Each filter gets a copy: what one filter does to the message, no other sees.
      const answer: unknown = registered.filter(message.toMessage<never>(this.codec));
      if (typeof answer === 'boolean') return answer;
      // Nobody awaits this promise, so its rejection would be unhandled.
      if (answer instanceof Promise) answer.catch(() => {});
      registered.error = new TypeError('the filter answered neither true nor false; it must not be async');
    } catch (error) {
      registered.error = error;
    }
    registered.failures.report();
    return false;
  }
}
