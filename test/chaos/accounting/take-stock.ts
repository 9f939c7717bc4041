import { type Figures, noFigures } from '../figures.js';
import { comparePublications } from './compare-publications.js';
import { compareReader, longestDelay } from './compare-reader.js';
import type { Ledger } from './ledger.js';
import type { Row } from './publication.js';
import type { Reader } from './reader.js';

export interface Stock {
  readonly ledger: Ledger;
  readonly readers: readonly Reader[];
  /** What the tables hold, by global id. */
  readonly rows: readonly Row[];
  /** By the prefix of their tags: messages beside which the application committed a row in the same transaction. */
  readonly applied?: ReadonlyMap<string, ReadonlySet<string>>;
  /** If the tables have gone back, the last global id that they came back with: what the ledger has is after it. */
  readonly restoredTo?: number | undefined;
}

/** Holds what publishers were told and what readers received against the tables. */
export function takeStock({ ledger, readers, rows, applied = new Map(), restoredTo }: Stock): Figures {
  const accounts = readers.map((reader) => compareReader(reader, rows, restoredTo !== undefined));
  const sum = (of: (account: (typeof accounts)[number]) => number) =>
    accounts.reduce((total, account) => total + of(account), 0);
  const acknowledgedAt = new Map<string, number>();
  for (const { outcome, publications, at } of ledger.entries) {
    if (outcome === 'acknowledged') for (const { tag } of publications) acknowledgedAt.set(tag, at);
  }
  return {
    ...noFigures,
    acknowledged: ledger.count('acknowledged'),
    refused: ledger.count('refused'),
    unknown: ledger.count('unknown'),
    delivered: sum(({ delivered }) => delivered),
    lost: sum(({ lost }) => lost),
    doubled: sum(({ doubled }) => doubled),
    leaked: sum(({ leaked }) => leaked),
    skipped: sum(({ skipped }) => skipped),
    reconnects: readers.reduce((total, reader) => total + reader.reconnects, 0),
    longestDelayMs: Math.max(0, ...readers.map((reader) => longestDelay(reader, acknowledgedAt))),
    wrong: [
      ...comparePublications(ledger, rows, restoredTo),
      ...compareApplied(applied, ledger, rows),
      ...accounts.flatMap((account) => account.wrong),
    ],
  };
}

/** A message commits with the row beside it, or not at all. */
function* compareApplied(
  applied: ReadonlyMap<string, ReadonlySet<string>>,
  ledger: Ledger,
  rows: readonly Row[],
): Generator<string> {
  const published = new Set(rows.map(({ tag }) => tag));
  for (const { tag } of ledger.entries.flatMap((entry) => entry.publications)) {
    for (const [prefix, tags] of applied) {
      if (!tag.startsWith(prefix) || tags.has(tag) === published.has(tag)) continue;
      yield tags.has(tag)
        ? `${tag}: its row was committed, its message was not`
        : `${tag}: its message was committed, its row was not`;
    }
  }
}
