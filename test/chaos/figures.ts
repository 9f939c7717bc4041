/** What the accounting of one scenario found. */
export interface Figures {
  /** Messages whose publishers were told that they are published. */
  readonly acknowledged: number;
  readonly refused: number;
  /** Messages whose publishers cannot know, because the connection broke. */
  readonly unknown: number;
  readonly delivered: number;
  readonly lost: number;
  readonly doubled: number;
  /** Private messages that reached somebody else. */
  readonly leaked: number;
  readonly reconnects: number;
  readonly longestDelayMs: number;
  /** Everything that does not agree with the tables. */
  readonly wrong: readonly string[];
}
