import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { RunStatement } from '../database/postgres.js';
import { writeValue } from '../database/result-types.js';
import { errors } from '../foundation/errors.js';
import { inTransaction, type PgliteDatabase, queryOptions } from './pglite-session.js';

const pollMs = 5;
const unlistened = 'the session of PGlite does not listen any more (UNLISTEN or DISCARD ALL of the application)';
/**
 * The user of the session. "session authorization default" cannot be used, because PGlite's default is another user
 * after `set session authorization`.
 */
const bootstrapUser = 'postgres';
/** Thrown, before anything is done, if the application has a transaction open. */
const busy = new Error('a transaction of the application is open');

/** The buses that listen in the session of each PGlite: if the application ends that LISTEN, all of them are deaf. */
const listening = new WeakMap<PgliteDatabase, Set<Listening>>();

interface Listening {
  channel: string;
  onLost: (reason: Error) => void;
}

/** A query that waits for PGlite. If it was given up before its turn, it does nothing. */
interface Attempt {
  isBegun: boolean;
  isGivenUp: boolean;
}

/**
 * A PGlite of the application. It has one session for everybody, so whatever the application leaves in that session
 * would affect the queries of the bus: an open transaction, a role, a search path, timeouts, a read-only default. The
 * queries of the bus wait for the end of an open transaction, because they would be rolled back with it, and set what
 * they need. Each query checks whether the session still listens.
 */
export class SharedPglite {
  #isClosed = false;
  readonly #listening: Set<Listening>;

  constructor(readonly pglite: PgliteDatabase) {
    this.#listening = listening.get(pglite) ?? new Set();
    listening.set(pglite, this.#listening);
  }

  /**
   * Runs a query. `timeoutMs`: ms to wait for a transaction of the application.
   *
   * @throws POSTBUS_IN_TRANSACTION if it has not ended by then
   */
  async query<Row>(text: string, values: readonly unknown[], timeoutMs: number): Promise<Row[]> {
    // Postgres runs statements that are sent together as one transaction, so `set local` holds for all of them.
    const statements = `${this.#settings()};select pg_listening_channels() as channel;${withValues(text, values)}`;
    const before = [...this.#listening];
    const results = await this.#onceFree((attempt) => this.pglite.exec(statements, this.#options(attempt)), timeoutMs);
    const channels = new Set(results.at(-2)?.rows.map(({ channel }) => channel));
    for (const { channel, onLost } of before)
      if (!channels.has(channel)) onLost(new errors.CONNECTION_LOST(unlistened));
    return results.at(-1)?.rows ?? [];
  }

  async transaction(run: (statement: RunStatement) => Promise<void>, timeoutMs: number): Promise<void> {
    await this.query('select', [], timeoutMs);
    await inTransaction(this.pglite, async (statement) => {
      await statement(this.#settings());
      await run(statement);
    });
  }

  async listen(
    channel: string,
    onPayload: (payload: string) => void,
    onLost: (reason: Error) => void,
    timeoutMs: number,
  ): Promise<() => Promise<void>> {
    // In a transaction of the application that is rolled back, LISTEN would be undone, so a query of ours runs it
    // outside of one. The listen() of PGlite then only registers the callback.
    await this.query(`listen ${pg.escapeIdentifier(channel)}`, [], timeoutMs);
    const unlisten = await this.pglite.listen(channel, onPayload);
    const mine = { channel, onLost };
    this.#listening.add(mine);
    return () => {
      this.#listening.delete(mine);
      return unlisten();
    };
  }

  /** Ends the wait of queries that wait for a transaction: they fail with POSTBUS_CLOSED. */
  close(): void {
    this.#isClosed = true;
  }

  async #onceFree<Result>(run: (attempt: Attempt) => Promise<Result>, timeoutMs: number): Promise<Result> {
    const latest = performance.now() + timeoutMs;
    for (;;) {
      const attempt: Attempt = { isBegun: false, isGivenUp: false };
      let timer: NodeJS.Timeout | undefined;
      // PGlite runs no other query until its transaction() has ended: code inside that waits for the bus would wait for
      // ever.
      const givenUp = new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => {
          if (attempt.isBegun) return;
          attempt.isGivenUp = true;
          reject(busy);
        }, latest - performance.now());
      });
      try {
        return await Promise.race([run(attempt), givenUp]);
      } catch (error) {
        if (error !== busy) throw error;
      } finally {
        clearTimeout(timer);
      }
      if (this.#isClosed) throw new errors.CLOSED();
      if (performance.now() >= latest) throw new errors.IN_TRANSACTION(Math.round(timeoutMs));
      // PGlite has no event for the end of a transaction.
      await delay(pollMs);
    }
  }

  /**
   * Returns options that check the session when it is the query's turn, because other code may begin a transaction
   * between an earlier check and that. PGlite reads the option `blob` at exactly that time, so the check is a getter.
   */
  #options(attempt: Attempt) {
    const { pglite } = this;
    return {
      ...queryOptions,
      get blob(): undefined {
        if (!attempt.isBegun && (attempt.isGivenUp || pglite.isInTransaction?.())) throw busy;
        attempt.isBegun = true;
        return undefined;
      },
    };
  }

  /** Returns SQL for the settings that a PGlite has at its start; its option `username` is in ENV.PGUSER. */
  #settings(): string {
    const role = this.pglite.ENV?.PGUSER;
    return [
      'set transaction isolation level read committed, read write',
      `set local session authorization ${bootstrapUser}`,
      `set local role ${role === undefined ? 'none' : pg.escapeIdentifier(role)}`,
      'set local search_path = pg_catalog, pg_temp',
      'set local statement_timeout = 0',
      'set local lock_timeout = 0',
      'set local session_replication_role = origin',
      // Not local, because notifications are sent after the transaction. PGlite reads and writes UTF-8 alone, and
      // breaks with another encoding.
      'set client_encoding = utf8',
    ].join(';');
  }
}

/** Returns a query with its values as literals, because Postgres takes no parameters with several statements. */
function withValues(text: string, values: readonly unknown[]): string {
  return text.replace(/"(?:[^"]|"")*"|'(?:[^']|'')*'|\$(\d+)/g, (part, number) => {
    if (number === undefined)
      return isAscii(part) || part.startsWith("'") ? part : `U&${escapeCharacters(part, 6, '\\+')}`;
    const value = values[Number(number) - 1];
    return value === null || value === undefined ? 'null' : literal(writeValue(value));
  });
}

function literal(text: string): string {
  // A NUL would end the statement, and Postgres accepts it nowhere.
  if (text.includes('\0')) throw new errors.QUERY_FAILED('invalid byte sequence for encoding "UTF8": 0x00');
  return isAscii(text) ? pg.escapeLiteral(text) : ` E'${escapeCharacters(text.replace(/'/g, "''"), 8, '\\U')}'`;
}

// True for ASCII, which is the same in every encoding. Postgres reads the query in the client_encoding that the
// application has set, because ours counts only once the query runs.
function isAscii(text: string): boolean {
  return !/[^\0-\x7f]/.test(text);
}

function escapeCharacters(text: string, digits: number, prefix: string): string {
  return text.replace(/[\\]|[^\0-\x7f]/gu, (character) =>
    character === '\\' ? '\\\\' : prefix + (character.codePointAt(0) ?? 0).toString(16).padStart(digits, '0'),
  );
}
