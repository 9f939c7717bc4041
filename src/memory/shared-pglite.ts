import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { RunStatement } from '../database/postgres.js';
import { writeValue } from '../database/result-types.js';
import { errors } from '../foundation/errors.js';
import { inTransaction, type PgliteDatabase, queryOptions } from './pglite-session.js';

const pollMs = 5;
const unlistened = 'the session of PGlite does not listen any more (UNLISTEN or DISCARD ALL of the application)';
/** Whose session it is. After `set session authorization` its default is not that. */
const bootstrapUser = 'postgres';
/** Thrown before anything is done, if the application has a transaction open. */
const busy = new Error('a transaction of the application is open');

/** Buses that listen in the session of a PGlite, all of which are deaf once the application has ended that. */
const listening = new WeakMap<PgliteDatabase, Set<Listening>>();

interface Listening {
  channel: string;
  onLost: (reason: Error) => void;
}

/** A query on its way to PGlite. One that was given up before it was its turn does nothing. */
interface Attempt {
  isBegun: boolean;
  isGivenUp: boolean;
}

/**
 * A PGlite of the application. It has one session for everybody, so what the application leaves there would meet the queries
 * of the bus: a transaction that is open, a role, a search path, timeouts, a default of read-only. The queries of the bus wait for
 * the end of the transaction, because they would be undone with it, and bring settings of their own. Each looks whether the
 * session still listens.
 */
export class SharedPglite {
  #isClosed = false;
  readonly #listening: Set<Listening>;

  constructor(readonly pglite: PgliteDatabase) {
    this.#listening = listening.get(pglite) ?? new Set();
    listening.set(pglite, this.#listening);
  }

  /** `timeoutMs`: how long to wait for a transaction of the application. @throws POSTBUS_IN_TRANSACTION */
  async query<Row>(text: string, values: readonly unknown[], timeoutMs: number): Promise<Row[]> {
    // Statements that are sent together are one transaction, to which the settings belong.
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
    // In a transaction that is rolled back it would be undone. What PGlite does after it is to note who listens.
    await this.query(`listen ${pg.escapeIdentifier(channel)}`, [], timeoutMs);
    const unlisten = await this.pglite.listen(channel, onPayload);
    const mine = { channel, onLost };
    this.#listening.add(mine);
    return () => {
      this.#listening.delete(mine);
      return unlisten();
    };
  }

  /** Nobody waits any more. */
  close(): void {
    this.#isClosed = true;
  }

  async #onceFree<Result>(run: (attempt: Attempt) => Promise<Result>, timeoutMs: number): Promise<Result> {
    const latest = performance.now() + timeoutMs;
    for (;;) {
      const attempt: Attempt = { isBegun: false, isGivenUp: false };
      let timer: NodeJS.Timeout | undefined;
      // PGlite lets nobody in until its transaction() is over: who waits for the bus in there would wait for ever.
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
      // PGlite does not tell when a transaction ends.
      await delay(pollMs);
    }
  }

  /**
   * Between a look at the session and a query, others may begin a transaction. PGlite reads the option `blob` once it is the
   * turn of the query: that is when we look.
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

  /** As they are at the start of a PGlite; `username` is one of its options. */
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
      // Not local: notifications are sent after the transaction. PGlite reads and writes UTF-8 alone, and breaks at others.
      'set client_encoding = utf8',
    ].join(';');
  }
}

/** A query with its values in it, because Postgres takes none if it is sent several statements. */
function withValues(text: string, values: readonly unknown[]): string {
  return text.replace(/"(?:[^"]|"")*"|'(?:[^']|'')*'|\$(\d+)/g, (part, number) => {
    if (number === undefined)
      return isAscii(part) || part.startsWith("'") ? part : `U&${escapeCharacters(part, 6, '\\+')}`;
    const value = values[Number(number) - 1];
    return value === null || value === undefined ? 'null' : literal(writeValue(value));
  });
}

function literal(text: string): string {
  // It would end the statement. Nothing that Postgres takes has one.
  if (text.includes('\0')) throw new errors.QUERY_FAILED('invalid byte sequence for encoding "UTF8": 0x00');
  return isAscii(text) ? pg.escapeLiteral(text) : ` E'${escapeCharacters(text.replace(/'/g, "''"), 8, '\\U')}'`;
}

// Until the settings count, Postgres reads in the client_encoding that the application has set: each has the characters of ASCII.
function isAscii(text: string): boolean {
  return !/[^\0-\x7f]/.test(text);
}

function escapeCharacters(text: string, digits: number, prefix: string): string {
  return text.replace(/[\\]|[^\0-\x7f]/gu, (character) =>
    character === '\\' ? '\\\\' : prefix + (character.codePointAt(0) ?? 0).toString(16).padStart(digits, '0'),
  );
}
