import type { Publication } from './publication.js';

/** What the publisher was told of one call. `unknown`: its connection broke, or no answer came. */
export type Outcome = 'acknowledged' | 'refused' | 'unknown';

/** One call that publishes messages, all or none. */
export interface Entry {
  readonly publications: readonly Publication[];
  outcome: Outcome;
  /** The ids that the publisher was told, one for each message; publish_later() and triggers tell none. */
  ids: readonly number[] | undefined;
  /** When the outcome came, in ms since 1970. */
  at: number;
}

/** What all publishers of a scenario were told. */
export class Ledger {
  readonly entries: Entry[] = [];

  /** Called before the call is sent: until it is settled, its outcome is unknown. */
  open(publications: readonly Publication[]): Entry {
    const entry: Entry = { publications, outcome: 'unknown', ids: undefined, at: 0 };
    this.entries.push(entry);
    return entry;
  }

  count(outcome: Outcome): number {
    let count = 0;
    for (const entry of this.entries) if (entry.outcome === outcome) count += entry.publications.length;
    return count;
  }
}

export function settle(entry: Entry, outcome: Outcome, ids?: readonly number[]): void {
  entry.outcome = outcome;
  entry.ids = ids;
  entry.at = Date.now();
}
