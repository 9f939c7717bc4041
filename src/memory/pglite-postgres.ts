import { setImmediate as turn } from 'node:timers/promises';
import type { QueryResultRow } from 'pg';
import { migrate } from '../database/migrate/migrate.js';
import type { ListeningConnection, Postgres, Query, RunStatement } from '../database/postgres.js';
import { inTransaction, type PgliteDatabase, queryOptions } from './pglite-session.js';
import { SharedPglite } from './shared-pglite.js';
import { startPglite } from './start-pglite.js';

// Of a migration, and of a connection that listens.
const transactionTimeoutMs = 30_000;

/** Postgres inside the process: one session, that does one thing at a time. Migrated before it is first used. */
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
    // It answers without a turn of the event loop: a program that awaits query after query would let nobody else run.
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
      // It comes in with the query that sends it.
      ask: async () => {},
      lost,
      // It fails where somebody has closed the PGlite that they gave.
      close: () => unlisten().catch(() => {}),
    };
  }

  async close(): Promise<void> {
    this.#shared?.close();
    if (this.#shared) return;
    // One that did not start has told so to those who wanted to use it.
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
