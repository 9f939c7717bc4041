import type { Figures } from '../figures.js';
import { comparePublications } from './compare-publications.js';
import { compareReader, longestDelay } from './compare-reader.js';
import type { Ledger } from './ledger.js';
import type { Row } from './publication.js';
import type { Reader } from './reader.js';

/**
 * Holds what publishers were told and what readers received against the tables. `applied`: by the prefix of their tags, the
 * messages beside which the application committed a row in the same transaction.
 */
export function takeStock(
  ledger: Ledger,
  readers: readonly Reader[],
  rows: readonly Row[],
  applied: ReadonlyMap<string, ReadonlySet<string>> = new Map(),
): Figures {
  const accounts = readers.map((reader) => compareReader(reader, rows));
  const sum = (of: (account: (typeof accounts)[number]) => number) =>
    accounts.reduce((total, account) => total + of(account), 0);
  const acknowledgedAt = new Map<string, number>();
  for (const { outcome, publications, at } of ledger.entries) {
    if (outcome === 'acknowledged') for (const { tag } of publications) acknowledgedAt.set(tag, at);
  }
  return {
    acknowledged: ledger.count('acknowledged'),
    refused: ledger.count('refused'),
    unknown: ledger.count('unknown'),
    delivered: sum(({ delivered }) => delivered),
    lost: sum(({ lost }) => lost),
    doubled: sum(({ doubled }) => doubled),
    leaked: sum(({ leaked }) => leaked),
    reconnects: readers.reduce((total, reader) => total + reader.reconnects, 0),
    longestDelayMs: Math.max(0, ...readers.map((reader) => longestDelay(reader, acknowledgedAt))),
    wrong: [
      ...comparePublications(ledger, rows),
      ...compareApplied(applied, rows),
      ...accounts.flatMap((account) => account.wrong),
    ],
  };
}

/** A message commits with the row beside it, or not at all. */
function* compareApplied(applied: ReadonlyMap<string, ReadonlySet<string>>, rows: readonly Row[]): Generator<string> {
  for (const [prefix, tags] of applied) {
    const published = new Set(rows.filter(({ tag }) => tag.startsWith(prefix)).map(({ tag }) => tag));
    for (const tag of tags) if (!published.has(tag)) yield `${tag}: its row was committed, its message was not`;
    for (const tag of published) if (!tags.has(tag)) yield `${tag}: its message was committed, its row was not`;
  }
}
