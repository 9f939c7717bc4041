import type { StoredMessage } from '../messages/message.js';
import type { Notice } from '../messages/notice.js';
import type { ReadResult, Seen } from '../reading/reader.js';
import type { Slice } from './tails/tail.js';

/** Where a feed gets its messages: from one channel, by message id, or from the whole bus, by global id. */
export interface Source {
  /**
   * Reads all that is new at this moment. `after`: an id; -1: nothing except the last id; -2: the last message, too …
   * Reads the tables, unless they confirm that memory holds everything.
   */
  read(after: number): Promise<ReadResult>;
  /** Like read(), but always from the tables. */
  fetch(after: number): Promise<ReadResult>;
  /** Finds where to go on in another past, see Reader.findPlace(). */
  findPlace(lastId: number | undefined, mark: Seen['mark'], at: number): Promise<number | null>;
  /** The messages after an id from memory; undefined if memory does not hold all of them up to `lastId`. */
  recall(after: number, lastId: number): Slice | undefined;
  /** Called with the notice of the next message, or of a later one. */
  keep(notice: Notice): void;
  /** Forgets the messages in memory, because they may be wrong. */
  forget(): void;
  idOf(message: Pick<StoredMessage, 'globalId' | 'messageId'>): number;
}
