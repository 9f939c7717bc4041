import { setImmediate as turn } from 'node:timers/promises';
import type { QueryResultRow } from 'pg';
import { migrate } from '../database/migrate.js';
import type { ListeningConnection, Postgres, Query, RunStatement } from '../database/postgres.js';
import { inTransaction, type PgliteDatabase, queryOptions } from './pglite-session.js';
import { startPglite } from './start-pglite.js';

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
    const given = this.#given;
    if (!given) return startPglite(this.#schema);
    await migrate((run) => inTransaction(given, run), this.#schema);
    return given;
  }
}
