import { checkChannel } from '../foundation/checks.js';
import { errors } from '../foundation/errors.js';
import type { Logger } from '../foundation/logger.js';
import { ThrottledLog } from '../foundation/throttled-log.js';
import type { Codec } from './codec.js';
import { Batch } from './frame.js';
import type { Message, StoredMessage } from './message.js';

/** Whether clients may be shown a message. */
export type ClientMessageFilter<Data = unknown> = (message: Message<Data>) => boolean;

interface Registered {
  prefix: string;
  filter: ClientMessageFilter<never>;
  /** What the last failure was; the log has it once a minute. */
  error: unknown;
  failures: ThrottledLog;
}

/** The filters of bus.registerClientMessageFilter(). All whose prefix the channel has must let a message pass. */
export class ClientFilters {
  readonly #filters: Registered[] = [];
  /** A batch goes to thousands of polls: it is decided once a turn, as what a filter says may change with time. */
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

  /** What they leave of a batch; the batch itself where that is all of it. */
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
      // A copy for each: what one filter does to it, no other sees.
      const answer: unknown = registered.filter(message.toMessage<never>(this.codec));
      if (typeof answer === 'boolean') return answer;
      // Were it to reject, nobody would look after it.
      if (answer instanceof Promise) answer.catch(() => {});
      registered.error = new TypeError('the filter answered neither true nor false; it must not be async');
    } catch (error) {
      registered.error = error;
    }
    registered.failures.report();
    return false;
  }
}
