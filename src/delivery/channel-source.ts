import { readTrace } from '../foundation/trace.js';
import type { StoredMessage } from '../messages/message.js';
import type { Notice } from '../messages/notice.js';
import type { Reader, ReadResult, Seen } from '../reading/reader.js';
import { traceRead } from '../reading/trace-read.js';
import type { Source } from './source.js';
import { type Slice, Tail } from './tails/tail.js';
import type { TailMemory } from './tails/tail-memory.js';

export interface ChannelSourceOptions {
  site: string;
  channel: string;
  reader: Pick<Reader, 'read' | 'head' | 'findPlace'>;
  memory: TailMemory;
  /** 0 while this node receives no notifications; otherwise a number that changes with each interruption. */
  connection: () => number;
}

/** Reads one channel: from its tail in memory if that holds everything asked for, otherwise from the tables. */
export class ChannelSource implements Source {
  readonly #tail: Tail;

  constructor(private readonly options: ChannelSourceOptions) {
    this.#tail = new Tail(options.memory);
  }

  async read(after: number): Promise<ReadResult> {
    // If the tail cannot answer, go to the tables directly: one query, not two.
    if (after === -1 || this.#tail.covers(after)) {
      const { site, channel, reader, connection } = this.options;
      const before = connection();
      const { upTo } = this.#tail;
      const head = await reader.head(site, channel);
      // The channel's last id is lower than the tail's: in this past, the messages in the tail were never published.
      if (head.lastId < upTo) this.#tail.forget();
      const result = before === connection() ? this.#tail.match(after, head) : undefined;
      if (result) {
        if (readTrace.isOn) traceRead('memory', site, channel, after, Promise.resolve(result));
        return result;
      }
    }
    return this.fetch(after);
  }

  async fetch(after: number): Promise<ReadResult> {
    const { site, channel, reader, connection } = this.options;
    const before = connection();
    const result = await reader.read(site, channel, after);
    // A new connection may lead to a different database: a standby that lags, or a restored backup.
    if (before !== 0 && before === connection()) this.#tail.add(after, result);
    return result;
  }

  findPlace(lastId: number | undefined, mark: Seen['mark'], at: number): Promise<number | null> {
    const { site, channel, reader } = this.options;
    return reader.findPlace({ site, channel, lastId, mark, at });
  }

  recall(after: number, lastId: number): Slice | undefined {
    const { memory } = this.options;
    const slice = this.#tail.upTo === lastId ? this.#tail.sliceBefore(after, memory.latestTime) : undefined;
    if (slice && readTrace.isOn) {
      traceRead('memory', this.options.site, this.options.channel, after, Promise.resolve(slice));
    }
    return slice;
  }

  keep(notice: Notice): void {
    this.#tail.append(notice);
  }

  forget(): void {
    this.#tail.forget();
  }

  idOf(message: Pick<StoredMessage, 'messageId'>): number {
    return message.messageId;
  }
}
