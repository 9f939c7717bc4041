import { setImmediate as turn } from 'node:timers/promises';
import type { QueryResultRow } from 'pg';
import { migrate } from '../database/migrate/migrate.js';
import type { ListeningConnection, Postgres, Query, RunStatement } from '../database/postgres.js';
import { inTransaction, type PgliteDatabase, queryOptions } from './pglite-session.js';
import { SharedPglite } from './shared-pglite.js';
import { startPglite } from './start-pglite.js';

// Ms that a migration, or a connection that begins to listen, waits for a transaction of the application.
const transactionTimeoutMs = 30_000;

/**
 * Postgres inside the process: one session, which runs one query at a time. The schema is migrated before it is first
 * used.
 */
export class PglitePostgres implements Postgres {
  readonly #schema: string;
  readonly #shared: SharedPglite | undefined;
  #starting: Promise<PgliteDatabase> | undefined;

  constructor(schema: string, given: PgliteDatabase | undefined) {
    this.#schema = schema;
    this.#shared = given && new SharedPglite(given);
  }

  async query<Row extends QueryResultRow>({ text, values, timeout }: Query): Promise<Row[]> {
    const pglite = await this.#ready();
    // PGlite answers within the same turn of the event loop: without this pause, a program that awaits query after
    // query would let no other code run.
    await turn();
    if (this.#shared) return this.#shared.query<Row>(text, values, timeout);
    return (await pglite.query<Row>(text, values, queryOptions)).rows;
  }

  async transaction(run: (statement: RunStatement) => Promise<void>): Promise<void> {
    const pglite = await this.#ready();
    await (this.#shared ? this.#shared.transaction(run, transactionTimeoutMs) : inTransaction(pglite, run));
  }

  newListeningConnection(): ListeningConnection {
    let unlisten = async () => {};
    let lose = (_reason: Error) => {};
    const lost = new Promise<Error>((resolve) => {
      lose = resolve;
    });
    return {
      listen: async (channel, onPayload) => {
        const pglite = await this.#ready();
        unlisten = await (this.#shared
          ? this.#shared.listen(channel, onPayload, lose, transactionTimeoutMs)
          : pglite.listen(channel, onPayload));
      },
      // A notification arrives with the query that sends it, so there is nothing to wait for.
      ask: async () => {},
      lost,
      // This fails if the application has closed its PGlite.
      close: () => unlisten().catch(() => {}),
    };
  }

  async close(): Promise<void> {
    this.#shared?.close();
    if (this.#shared) return;
    // If it did not start, the queries have failed with the reason.
    const pglite = await this.#starting?.catch(() => undefined);
    await pglite?.close();
  }

  #ready(): Promise<PgliteDatabase> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  async #start(): Promise<PgliteDatabase> {
    const shared = this.#shared;
    if (!shared) return startPglite(this.#schema);
    await migrate((run) => shared.transaction(run, transactionTimeoutMs), this.#schema);
    return shared.pglite;
  }
}
