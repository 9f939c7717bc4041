import { describe } from './compare-publications.js';
import { nameOf, type Received, type Row } from './publication.js';
import type { Reader } from './reader.js';

/** What one reader received, held against the tables. */
export interface ReaderAccount {
  readonly delivered: number;
  readonly lost: number;
  readonly doubled: number;
  readonly leaked: number;
  /** Messages that an HTTP client passed over when it found ids that had gone back. */
  readonly skipped: number;
  readonly wrong: readonly string[];
}

/** `isRestored`: the tables have gone back since the reader began. */
export function compareReader(reader: Reader, rows: readonly Row[], isRestored = false): ReaderAccount {
  const wrong: string[] = [];
  const report = (text: string) => void wrong.push(`${reader.name}: ${text}`);
  const stored = new Map(rows.map((row) => [row.globalId, row]));
  const seen = new Set<number>();
  const positions = new Map<string, number>();
  let doubled = 0;
  let leaked = 0;
  for (const message of reader.received) {
    const row = stored.get(message.globalId);
    if (!row || !isSame(row, message)) {
      report(`received ${describe(message)}, where the tables have ${row ? describe(row) : 'none'}`);
      continue;
    }
    if (seen.has(row.globalId) || reader.hasReceivedBefore(row)) {
      doubled++;
      report(`received ${describe(row)} twice`);
    }
    seen.add(row.globalId);
    if (!reader.maySee(row)) {
      leaked++;
      report(`received ${describe(row)}, which is for others`);
    }
    // A reader of all channels is promised the order of all; others that of each channel.
    const order = reader.places ? nameOf(row) : '';
    const before = positions.get(order) ?? 0;
    if (row.globalId < before) report(`received ${describe(row)} after global ${before}`);
    positions.set(order, Math.max(before, row.globalId));
  }
  const missing = reader.expected(rows).filter(({ globalId }) => !seen.has(globalId));
  const isSkipped = (row: Row) => isRestored && !reader.isOnServer && row.globalId < firstOf(reader, row);
  const lost = missing.filter((row) => !isSkipped(row));
  for (const row of lost) report(`never received ${describe(row)}`);
  if (!isRestored) for (const gap of reader.gaps) report(gap);
  for (const complaint of reader.complaints) report(complaint);
  const skipped = missing.length - lost.length;
  return { delivered: reader.received.length, lost: lost.length, doubled, leaked, skipped, wrong };
}

/** The global id of the first message of a row's channel that the reader has received since the restore. */
function firstOf(reader: Reader, row: Row): number {
  return reader.received.find((message) => nameOf(message) === nameOf(row))?.globalId ?? 0;
}

function isSame(row: Row, message: Received): boolean {
  return (
    row.tag === message.tag &&
    row.size === message.size &&
    row.messageId === message.messageId &&
    nameOf(row) === nameOf(message)
  );
}

/** The longest time, in ms, from the acknowledgement of a message to its arrival at the reader. */
export function longestDelay(reader: Reader, acknowledgedAt: ReadonlyMap<string, number>): number {
  let longest = 0;
  if (reader.isSlow) return longest;
  for (const { tag, at } of reader.received) longest = Math.max(longest, at - (acknowledgedAt.get(tag) ?? at));
  return longest;
}
