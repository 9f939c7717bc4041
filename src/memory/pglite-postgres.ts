import { setImmediate as turn } from 'node:timers/promises';
import type { QueryResult, QueryResultRow } from 'pg';
import { migrate } from '../database/migrate.js';
import type { ListeningConnection, Postgres, Query, RunStatement } from '../database/postgres.js';
import { textParsers, valueWriters } from '../database/result-types.js';
import { errors } from '../errors.js';

/** A session of PGlite, or a transaction of it. */
interface PgliteSession {
  query<Row>(text: string, values?: unknown[], options?: PgliteQueryOptions): Promise<{ rows: Row[] }>;
  exec(text: string, options?: PgliteQueryOptions): Promise<Pick<QueryResult, 'rows'>[]>;
}

interface PgliteQueryOptions {
  parsers: Record<number, (text: string) => unknown>;
  serializers: Record<number, (value: unknown) => string>;
}

/** What the bus uses of a PGlite. Its own types do not compile everywhere: they need those of Emscripten. */
export interface PgliteDatabase extends PgliteSession {
  transaction<Result>(run: (transaction: PgliteSession) => Promise<Result>): Promise<Result>;
  listen(channel: string, onPayload: (payload: string) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** Parsers and serializers that the application has given its PGlite do not count for the queries of the bus. */
const queryOptions: PgliteQueryOptions = { parsers: textParsers, serializers: valueWriters };

/** Postgres inside the process: one session, that does one thing at a time. Migrated before it is first used. */
export class PglitePostgres implements Postgres {
  readonly #schema: string;
  readonly #given: PgliteDatabase | undefined;
  #starting: Promise<PgliteDatabase> | undefined;

  constructor(schema: string, given: PgliteDatabase | undefined) {
    this.#schema = schema;
    this.#given = given;
  }

  async query<Row extends QueryResultRow>({ text, values }: Query): Promise<Row[]> {
    const pglite = await this.#ready();
    // It answers without a turn of the event loop: a program that awaits query after query would let nobody else run.
    await turn();
    return (await pglite.query<Row>(text, values, queryOptions)).rows;
  }

  async transaction(run: (statement: RunStatement) => Promise<void>): Promise<void> {
    await inTransaction(await this.#ready(), run);
  }

  newListeningConnection(): ListeningConnection {
    let unlisten = async () => {};
    return {
      listen: async (channel, onPayload) => {
        unlisten = await (await this.#ready()).listen(channel, onPayload);
      },
      // It comes in with the query that sends it.
      ask: async () => {},
      lost: new Promise(() => {}),
      // It fails where somebody has closed the PGlite that they gave.
      close: () => unlisten().catch(() => {}),
    };
  }

  async close(): Promise<void> {
    if (this.#given) return;
    // One that did not start has told so to those who wanted to use it.
    const pglite = await this.#starting?.catch(() => undefined);
    await pglite?.close();
  }

  #ready(): Promise<PgliteDatabase> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  async #start(): Promise<PgliteDatabase> {
    const pglite = this.#given ?? (await newPglite());
    await migrate((run) => inTransaction(pglite, run), this.#schema);
    return pglite;
  }
}

async function newPglite(): Promise<PgliteDatabase> {
  try {
    const { PGlite } = await import('@electric-sql/pglite');
    return new PGlite();
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    const missing = new errors.NO_PGLITE();
    missing.cause = error;
    throw missing;
  }
}

async function inTransaction(pglite: PgliteDatabase, run: (statement: RunStatement) => Promise<void>): Promise<void> {
  await pglite.transaction((transaction) =>
    run(async (text, values = []) => {
      // Only what has no values may be several statements.
      const result =
        values.length > 0
          ? await transaction.query(text, [...values], queryOptions)
          : (await transaction.exec(text, queryOptions)).at(-1);
      return result?.rows ?? [];
    }),
  );
}
