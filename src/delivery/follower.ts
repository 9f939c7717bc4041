import type { Batch } from '../messages/frame.js';

/** A reader's place in a feed, as the feed knows it; see Cursor. */
export interface Follower {
  /** Id of the last message handed over. */
  readonly position: number;
  /** Whether what comes next will be handed over as it comes. */
  readonly isLive: boolean;
  /** What comes next in the feed: all that can be read after one id, up to another. */
  receive(batch: Batch, after: number, lastId: number): void;
  /** What is held is of a past that is no more. */
  drop(): void;
  /** In another past, what is new begins after this id; null: after the last one that it got. */
  goOn(place: number | null): void;
  /** The last id is lower than it was. */
  moveBack(lastId: number): void;
  fail(error: unknown): void;
}
