import type pg from 'pg';
import { codedError } from '../database/coded-error.js';
import type { Database } from '../database/database.js';
import { resultTypes } from '../database/result-types.js';
import { errors } from '../foundation/errors.js';
import type { Publication } from './publication.js';

/** Runs statements in a transaction of the caller's: a client of `pg`, or an adapter to that of a query builder. */
export interface PublishClient {
  /** Resolves to the rows, or to an object with them. */
  query(text: string, values: unknown[]): PromiseLike<unknown>;
}

/**
 * Publishes in the transaction that the client has open: at its commit, or never. Resolves to the id. Nothing is batched. All
 * parameters are text, because drivers write lists and jsonb in ways of their own; so is the id, because they read bigint so.
 */
export async function publishWithClient(client: PublishClient, database: Database, p: Publication): Promise<number> {
  if (typeof client?.query !== 'function')
    throw new errors.BAD_OPTION('client', 'must have a function query(text, values)');
  const ids = (n: number) => `(select array_agg(v) from jsonb_array_elements_text($${n}::text::jsonb) v)`;
  const text = `select ${database.name('publish')}($1::text, $2::text::jsonb, ${ids(3)}, ${ids(4)}, ${ids(5)}, $6::text, $7::text::int, $8::text::int)::text as id`;
  const list = (given: string[] | undefined) => (given ? JSON.stringify(given) : null);
  const limit = (given: number | undefined) => (given === undefined ? null : String(given));
  const values = [
    p.channel,
    p.json,
    list(p.userIds),
    list(p.groupIds),
    list(p.clientIds),
    p.site === '' ? null : p.site,
    limit(p.maxBacklogSize),
    limit(p.maxBacklogAge),
  ];
  try {
    // A client of pg reads the id as we say, whatever parsers the application has set.
    const result = isPgClient(client) ? client.query({ text, values, types: resultTypes }) : client.query(text, values);
    return idIn(await result);
  } catch (error) {
    throw codedError(error, database.schema);
  }
}

/** The same for a list. Channels are locked in sorted order, so that two transactions with a list each cannot deadlock. */
export async function publishListWithClient(
  client: PublishClient,
  database: Database,
  publications: readonly Publication[],
): Promise<number[]> {
  const key = ({ site, channel }: Publication) => `${site}\t${channel}`;
  const sorted = publications.map((publication, i) => ({ publication, i, key: key(publication) }));
  sorted.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.i - b.i));
  const ids: number[] = publications.map(() => 0);
  for (const { publication, i } of sorted) ids[i] = await publishWithClient(client, database, publication);
  return ids;
}

interface PgClient {
  query(config: pg.QueryConfig): PromiseLike<unknown>;
}

/** Also of another copy of pg than ours. */
function isPgClient(client: object): client is PgClient {
  return 'getTypeParser' in client && typeof client.getTypeParser === 'function';
}

function idIn(result: unknown): number {
  const rows: unknown = Array.isArray(result) ? result : Object(result).rows;
  // Adapters may rename columns, give rows as arrays, and have a parser of text.
  const [value] = Array.isArray(rows) ? Object.values(Object(rows[0])) : [];
  const id = Number(`${value}`);
  if (id > 0 && Number.isSafeInteger(id)) return id;
  throw new errors.BAD_OPTION('client', 'query() must resolve to { rows }, or to the rows');
}
