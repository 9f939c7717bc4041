import type pg from 'pg';
import { codedError } from '../database/coded-error.js';
import type { Database } from '../database/database.js';
import { resultTypes } from '../database/result-types.js';
import { channelKey } from '../foundation/checks.js';
import { errors } from '../foundation/errors.js';
import type { Publication } from './publication.js';

/** Runs statements in a transaction of the caller's: a client of `pg`, or an adapter to that of a query builder. */
export interface PublishClient {
  /** Runs one statement with the parameters $1, $2, … Resolves to its rows, or to an object with them as `rows`. */
  query(text: string, values: unknown[]): PromiseLike<unknown>;
}

/**
 * Publishes a message in the transaction that `client` has open: at its commit, or never. Resolves to the message id.
 * Each message is a statement of its own, never batched. All parameters are text, because each driver has its own way
 * to write lists and jsonb; the id comes as text, because each driver has its own way to read bigint.
 *
 * @throws POSTBUS_BAD_OPTION if `client` has no query(), or its query() does not resolve to rows
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
    // To a client of pg we give our own parsers, so that those that the application has set do not count.
    const result = isPgClient(client) ? client.query({ text, values, types: resultTypes }) : client.query(text, values);
    return idIn(await result);
  } catch (error) {
    throw codedError(error, database.schema);
  }
}

/**
 * Like publishWithClient(), for a list: resolves to the message ids in the order given. Channels are locked in sorted
 * order, so that two transactions with a list each cannot deadlock.
 */
export async function publishListWithClient(
  client: PublishClient,
  database: Database,
  publications: readonly Publication[],
): Promise<number[]> {
  const sorted = publications.map((publication, i) => {
    return { publication, i, key: channelKey(publication.site, publication.channel) };
  });
  sorted.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.i - b.i));
  const ids: number[] = publications.map(() => 0);
  for (const { publication, i } of sorted) ids[i] = await publishWithClient(client, database, publication);
  return ids;
}

interface PgClient {
  query(config: pg.QueryConfig): PromiseLike<unknown>;
}

/** Also true for a client of another copy of pg than ours, for which instanceof would be false. */
function isPgClient(client: object): client is PgClient {
  return 'getTypeParser' in client && typeof client.getTypeParser === 'function';
}

function idIn(result: unknown): number {
  const rows: unknown = Array.isArray(result) ? result : Object(result).rows;
  // Adapters may rename the column, return rows as arrays, or parse text to a number.
  const [value] = Array.isArray(rows) ? Object.values(Object(rows[0])) : [];
  const id = Number(`${value}`);
  if (id > 0 && Number.isSafeInteger(id)) return id;
  throw new errors.BAD_OPTION('client', 'query() must resolve to { rows }, or to the rows');
}
