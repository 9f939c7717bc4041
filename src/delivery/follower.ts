import type { Batch } from '../messages/frame.js';

/** A reader's place in a feed, as the feed knows it; see Cursor. */
export interface Follower {
  /** Id of the last message handed over. */
  readonly position: number;
  /** True if the next messages are handed over as they come. */
  readonly isLive: boolean;
  /** Takes the feed's next messages: all that can be read after the id `after`, up to `lastId`. */
  receive(batch: Batch, after: number, lastId: number): void;
  /** Drops the held batches, because they belong to a past that has ended. */
  drop(): void;
  /** Called in another past: new messages begin after the id `place`; null: after the last message handed over. */
  goOn(place: number | null): void;
  /** Called when the feed's last id has become lower. */
  moveBack(lastId: number): void;
  fail(error: unknown): void;
}
