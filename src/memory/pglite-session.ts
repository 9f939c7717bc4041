import type { QueryResult } from 'pg';
import type { RunStatement } from '../database/postgres.js';
import { textParsers, valueWriters } from '../database/result-types.js';

/** A session of PGlite, or a transaction in it. */
interface PgliteSession {
  query<Row>(text: string, values?: unknown[], options?: PgliteQueryOptions): Promise<{ rows: Row[] }>;
  exec(text: string, options?: PgliteQueryOptions): Promise<Pick<QueryResult, 'rows'>[]>;
}

interface PgliteQueryOptions {
  parsers: Record<number, (text: string) => unknown>;
  serializers: Record<number, (value: unknown) => string>;
}

/**
 * The methods of a PGlite that the bus uses. PGlite's own types require those of Emscripten, so they do not compile
 * everywhere.
 */
export interface PgliteDatabase extends PgliteSession {
  transaction<Result>(run: (transaction: PgliteSession) => Promise<Result>): Promise<Result>;
  listen(channel: string, onPayload: (payload: string) => void): Promise<() => Promise<void>>;
  isInTransaction?(): boolean;
  readonly ENV?: { PGUSER?: string } | undefined;
  close(): Promise<void>;
}

/**
 * Options for the queries of the bus: with them, the parsers and serializers that the application has given its PGlite
 * do not count.
 */
export const queryOptions: PgliteQueryOptions = { parsers: textParsers, serializers: valueWriters };

export async function inTransaction(
  pglite: PgliteDatabase,
  run: (statement: RunStatement) => Promise<void>,
): Promise<void> {
  await pglite.transaction((transaction) =>
    run(async (text, values = []) => {
      // Only exec(), which takes no values, can run several statements.
      const result =
        values.length > 0
          ? await transaction.query(text, [...values], queryOptions)
          : (await transaction.exec(text, queryOptions)).at(-1);
      return result?.rows ?? [];
    }),
  );
}
