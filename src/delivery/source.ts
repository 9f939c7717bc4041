import type { StoredMessage } from '../messages/message.js';
import type { Notice } from '../messages/notice.js';
import type { ReadResult, Seen } from '../reading/reader.js';
import type { Slice } from './tails/tail.js';

/** Where a feed's messages come from: a channel, by message id, or the whole bus, by global id. */
export interface Source {
  /**
   * All that is new as of now. `after`: an id, or -1 for nothing but the last id, -2 for the last message too … Read from
   * the tables, unless these confirm what is in memory.
   */
  read(after: number): Promise<ReadResult>;
  /** The same, read from the tables. */
  fetch(after: number): Promise<ReadResult>;
  /** Where to go on in another past, see Reader. */
  findPlace(lastId: number | undefined, mark: Seen['mark'], at: number): Promise<number | null>;
  /** What is in memory, where that is all that there is between an id and the last one. */
  recall(after: number, lastId: number): Slice | undefined;
  /** The next message was published, or a later one. */
  keep(notice: Notice): void;
  /** What is in memory may be wrong. */
  forget(): void;
  idOf(message: Pick<StoredMessage, 'globalId' | 'messageId'>): number;
}
