import type { Entry, Ledger } from './ledger.js';
import { nameOf, type Publication, type Row } from './publication.js';

/**
 * What is wrong between what publishers were told and what the tables hold; empty if nothing is. `restoredTo`: rows up to this
 * global id came with a restore, and the ledger knows nothing of them.
 */
export function comparePublications(ledger: Ledger, rows: readonly Row[], restoredTo = 0): string[] {
  const wrong = [...compareIds(rows, restoredTo)];
  const byTag = new Map<string, Row>();
  for (const row of rows) {
    const other = byTag.get(row.tag);
    if (other) wrong.push(`${row.tag} is twice in the tables: ${describe(other)} and ${describe(row)}`);
    byTag.set(row.tag, row);
  }
  const known = new Set<string>();
  for (const entry of ledger.entries) {
    for (const { tag } of entry.publications) known.add(tag);
    wrong.push(...compareEntry(entry, byTag));
  }
  const isOwn = (row: Row) => row.globalId > restoredTo;
  for (const row of rows.filter(isOwn)) if (!known.has(row.tag)) wrong.push(`${describe(row)} was published by nobody`);
  return wrong;
}

/** Message ids are 1, 2, 3 … in each channel, global ids follow each other, and both rise together. */
function* compareIds(rows: readonly Row[], restoredTo: number): Generator<string> {
  const last = new Map<string, number>();
  let before: Row | undefined;
  for (const row of rows) {
    // A restore may leave some out, for fear that they were given out before.
    const isFirst = before === undefined || before.globalId <= restoredTo;
    if (before && row.globalId !== before.globalId + 1 && !(isFirst && row.globalId > restoredTo))
      yield `${describe(row)} follows ${describe(before)}`;
    before = row;
    const expected = (last.get(nameOf(row)) ?? 0) + 1;
    if (row.messageId !== expected) yield `${describe(row)} has the place of message ${expected}`;
    last.set(nameOf(row), row.messageId);
  }
}

function* compareEntry({ publications, outcome, ids }: Entry, byTag: ReadonlyMap<string, Row>): Generator<string> {
  const found = publications.filter(({ tag }) => byTag.has(tag));
  if (outcome === 'refused' && found.length > 0) yield `${tagsOf(found)}: refused, but in the tables`;
  if (outcome === 'acknowledged' && found.length < publications.length) {
    yield `${tagsOf(publications)}: acknowledged${ids ? ` as ${ids}` : ''}, but only ${found.length} in the tables`;
  }
  if (outcome === 'unknown' && found.length > 0 && found.length < publications.length) {
    yield `${tagsOf(publications)}: only ${found.length} of one call in the tables`;
  }
  for (const [i, publication] of publications.entries()) {
    const row = byTag.get(publication.tag);
    if (!row) continue;
    const id = ids?.[i];
    if (ids && row.messageId !== id) yield `${describe(row)}: its publisher was told id ${id}`;
    if (audience(row) !== audience(publication)) {
      yield `${describe(row)} is ${audience(row)}, but was published ${audience(publication)}`;
    }
  }
}

function audience({ channel, siteId, userIds, groupIds, clientIds }: Publication): string {
  return `on ${nameOf({ channel, siteId })} for ${JSON.stringify([userIds, groupIds, clientIds])}`;
}

function tagsOf(publications: readonly Publication[]): string {
  return publications.map(({ tag }) => tag).join(', ');
}

export function describe(stored: {
  channel: string;
  siteId: string | null;
  messageId: number;
  globalId: number;
  tag: string;
}): string {
  return `${nameOf(stored)} message ${stored.messageId} (global ${stored.globalId}, ${stored.tag})`;
}
