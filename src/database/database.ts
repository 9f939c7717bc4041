import { createHash } from 'node:crypto';
import pg from 'pg';
import { errors } from '../foundation/errors.js';
import { codedError, isLostStatement } from './coded-error.js';
import type { Postgres, Query } from './postgres.js';

const maxAttempts = 5;
// Ms without an answer after which read() assumes that the connection is dead.
const maxSilenceMs = 7_000;
const slowMs = 60_000;

// A full NOTIFY queue reports a usage slightly below 1, because its last pages are not used.
const roomyUsage = 0.99;

type Limits = Pick<Query, 'timeout' | 'isRepeatable'>;

/** Sends the queries of a bus to its schema, and turns errors of Postgres into coded ones. */
export class Database {
  readonly #statementNames = new Map<string, string>();
  #prepares = true;
  /** End of the time in which the first attempt of read() has no limit of its own, in ms of performance.now(). */
  #slowUntil = Number.NEGATIVE_INFINITY;
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

  /** Sends a statement once, with `queryTimeout` ms for the answer. Resolves to its rows. @throws a coded error */
  async query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    return this.#query<Row>({ text, values, timeout: this.queryTimeout, isRepeatable: false });
  }

  /**
   * Sends a statement that is used often, and must not be repeated: Postgres parses it once for each connection. It has
   * two thirds of `queryTimeout`, so that calls that wait behind it have time left if its connection turns out to be
   * dead.
   */
  async prepared<Row extends pg.QueryResultRow>(text: string, values: unknown[]): Promise<Row[]> {
    return this.#prepared<Row>(text, values, { timeout: (2 / 3) * this.queryTimeout, isRepeatable: false });
  }

  /**
   * Sends a statement that may run twice, because it changes nothing or the second time does no harm. It is sent again
   * if its connection breaks, or gives no answer for some seconds. We cannot tell a connection whose other end has
   * vanished from a slow database. So the second attempt may take all the time that is left; if it takes long, too, the
   * database is slow, and for a minute first attempts have all of their time, so that its load is not doubled.
   * `timeout`: ms for all attempts together.
   */
  async read<Row extends pg.QueryResultRow>(
    text: string,
    values: unknown[] = [],
    timeout = this.queryTimeout,
  ): Promise<Row[]> {
    const latest = performance.now() + timeout;
    const silence = Math.min(this.#silence, timeout / 2);
    let wasSilent = false;
    for (let attempt = 1; ; attempt++) {
      const asked = performance.now();
      const hadSilence = wasSilent;
      const left = Math.max(latest - asked, 1);
      const limit = hadSilence || asked < this.#slowUntil ? left : Math.min(left, silence);
      try {
        return await this.#prepared<Row>(text, values, { timeout: limit, isRepeatable: true });
      } catch (error) {
        // The pool hands out idle connections. After a network failure, several of them may be dead, so try more than
        // once.
        const isWorthIt = attempt < maxAttempts && performance.now() < latest;
        if (!isWorthIt || !(error instanceof errors.CONNECTION_LOST)) throw error;
        wasSilent ||= performance.now() - asked >= silence;
      } finally {
        const now = performance.now();
        if (hadSilence && now - asked > this.#silence / 2) this.#slowUntil = now + slowMs;
      }
    }
  }

  get #silence(): number {
    return Math.min(maxSilenceMs, this.queryTimeout / 2);
  }

  /** Returns the quoted name of a function in the bus's schema: `name('publish')` is `"message_bus"."publish"`. */
  name(functionName: string): string {
    return `${pg.escapeIdentifier(this.schema)}.${pg.escapeIdentifier(functionName)}`;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.postgres.close();
  }

  /**
   * Resolves to the share of the NOTIFY queue that is filled, from 0 to 1. This query also drops from a full queue what
   * was kept for a session that has ended: Postgres does that only for this query, or when somebody adds to the queue,
   * which nobody can while it is full.
   */
  async notifyQueueUsage(): Promise<number> {
    const text = 'select pg_notification_queue_usage() as usage';
    const limits = { timeout: this.#silence, isRepeatable: true };
    const [row] = await this.#send<{ usage: number }>({ text, values: [], ...limits });
    return row?.usage ?? 1;
  }

  async #prepared<Row extends pg.QueryResultRow>(text: string, values: unknown[], limits: Limits): Promise<Row[]> {
    if (!this.#prepares) return this.#query<Row>({ text, values, ...limits });
    try {
      return await this.#query<Row>({ name: this.#statementName(text), text, values, ...limits });
    } catch (error) {
      if (!isLostStatement(error)) throw error;
      this.#prepares = false;
      return this.#query<Row>({ text, values, ...limits });
    }
  }

  async #query<Row extends pg.QueryResultRow>(query: Query): Promise<Row[]> {
    try {
      return await this.#send<Row>(query);
    } catch (error) {
      // The commit failed, so nothing was done, and the statement may be sent again as it is, if the queue has room
      // now.
      if (!(error instanceof errors.NOTIFY_QUEUE_FULL) || (await this.notifyQueueUsage()) > roomyUsage) throw error;
      return this.#send<Row>(query);
    }
  }

  async #send<Row extends pg.QueryResultRow>(query: Query): Promise<Row[]> {
    if (this.#closed) throw new errors.CLOSED();
    try {
      return await this.postgres.query<Row>(query);
    } catch (error) {
      throw codedError(error, this.schema);
    }
  }

  /** Returns a name that depends on the text of the statement, because buses of other schemas may share the pool. */
  #statementName(text: string): string {
    let name = this.#statementNames.get(text);
    if (name === undefined) {
      name = `postbus_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
      this.#statementNames.set(text, name);
    }
    return name;
  }
}
