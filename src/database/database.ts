import { createHash } from 'node:crypto';
import pg from 'pg';
import { errors } from '../errors.js';
import { codedError, isLostStatement } from './coded-error.js';
import type { Postgres, Query } from './postgres.js';

const maxAttempts = 5;

// A queue that is full says so with somewhat less than 1, as its last pages are not used.
const roomyUsage = 0.99;

/** The queries of a bus in its schema; turns what Postgres says into coded errors. */
export class Database {
  readonly #statementNames = new Map<string, string>();
  #prepares = true;
  #closed = false;

  constructor(
    readonly postgres: Postgres,
    readonly schema: string,
    readonly queryTimeout = 30_000,
  ) {
    if (!Number.isInteger(queryTimeout) || queryTimeout < 1_000 || queryTimeout > 2_147_483_647) {
      throw new errors.BAD_OPTION('queryTimeout', 'must be a whole number of ms from 1000 to 2147483647');
    }
  }

  async query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    return this.#query<Row>({ text, values });
  }

  /** A query that is asked often: Postgres parses it once a connection. */
  async prepared<Row extends pg.QueryResultRow>(text: string, values: unknown[]): Promise<Row[]> {
    if (!this.#prepares) return this.#query<Row>({ text, values });
    try {
      return await this.#query<Row>({ name: this.#statementName(text), text, values });
    } catch (error) {
      if (!isLostStatement(error)) throw error;
      this.#prepares = false;
      return this.#query<Row>({ text, values });
    }
  }

  /** One that changes nothing: asked again where the connection breaks under it. */
  async read<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    const latest = performance.now() + this.queryTimeout;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.prepared<Row>(text, values);
      } catch (error) {
        // The pool hands out idle connections; after an interruption, several of them may be dead.
        const isWorthIt = attempt < maxAttempts && performance.now() < latest;
        if (!isWorthIt || !(error instanceof errors.CONNECTION_LOST)) throw error;
      }
    }
  }

  /** A function of the bus's schema, quoted: `name('publish')` is `"message_bus"."publish"`. */
  name(functionName: string): string {
    return `${pg.escapeIdentifier(this.schema)}.${pg.escapeIdentifier(functionName)}`;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.postgres.close();
  }

  /**
   * The share of the NOTIFY queue that is filled, from 0 to 1. To ask also drops from a full queue what was kept for a session
   * that has ended since: Postgres does that only when somebody asks, or adds to the queue, which nobody can while it is full.
   */
  async notifyQueueUsage(): Promise<number> {
    const [row] = await this.#send<{ usage: number }>({
      text: 'select pg_notification_queue_usage() as usage',
      values: [],
    });
    return row?.usage ?? 1;
  }

  async #query<Row extends pg.QueryResultRow>(query: Omit<Query, 'timeout'>): Promise<Row[]> {
    try {
      return await this.#send<Row>(query);
    } catch (error) {
      // The commit failed, so nothing was done: it may be sent again as it is.
      if (!(error instanceof errors.NOTIFY_QUEUE_FULL) || (await this.notifyQueueUsage()) > roomyUsage) throw error;
      return this.#send<Row>(query);
    }
  }

  async #send<Row extends pg.QueryResultRow>(query: Omit<Query, 'timeout'>): Promise<Row[]> {
    if (this.#closed) throw new errors.CLOSED();
    try {
      return await this.postgres.query<Row>({ ...query, timeout: this.queryTimeout });
    } catch (error) {
      throw codedError(error, this.schema);
    }
  }

  /** By its text: buses of other schemas may share the pool. */
  #statementName(text: string): string {
    let name = this.#statementNames.get(text);
    if (name === undefined) {
      name = `postbus_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
      this.#statementNames.set(text, name);
    }
    return name;
  }
}
