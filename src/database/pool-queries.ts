import type pg from 'pg';
import { errors } from '../foundation/errors.js';

/**
 * pg documents query_timeout as a setting of connections, but it works for queries, too. We set it there, because the
 * pool may be the user's.
 */
export interface TimedQuery extends pg.QueryConfig {
  /** Ms that Postgres may take to answer. */
  query_timeout: number;
}

interface UnderWay {
  /** When the query was sent, in ms of performance.now(). */
  since: number;
  giveUp: () => void;
}

// Ms in which an idle connection must prove that it is alive, so that calls that wait for it wait no longer.
const testTimeoutMs = 2_000;
// A query sent less than this many ms before the listening connection was lost is not assumed to be lost, too.
const trustMs = 1_000;

/**
 * Sends queries on a pool, each on a connection of its own. A connection whose other end has vanished reports nothing,
 * so a connection that does not answer makes the others suspect.
 */
export class PoolQueries {
  readonly #repeatable = new Set<UnderWay>();
  #testing: Promise<unknown> | undefined;

  constructor(
    private readonly pool: pg.Pool,
    /**
     * Called for each connection that broke while a test of ours held it. The pool reports those that break while it
     * holds them. Which of the two happens depends on whether the end of the listening connection is noticed first.
     */
    private readonly onIdleError: (error: Error) => void,
  ) {}

  async query<Row extends pg.QueryResultRow>(config: TimedQuery, isRepeatable: boolean): Promise<Row[]> {
    try {
      return await this.withClient(async (client) => {
        const result = client.query<Row>(config);
        return (await (isRepeatable ? this.#orGivenUp(result) : result)).rows;
      });
    } catch (error) {
      if (isTimeout(error)) this.#testIdle();
      throw error;
    }
  }

  /**
   * Runs a function with a connection of the pool. If it rejects, the connection is ended, and with it a transaction
   * that is open on it.
   */
  async withClient<Result>(run: (client: pg.PoolClient) => Promise<Result>): Promise<Result> {
    const client = await this.#take();
    let hasFailed = true;
    try {
      const result = await run(client);
      hasFailed = false;
      return result;
    } finally {
      client.off('error', ignore);
      client.release(hasFailed);
    }
  }

  /**
   * Takes a connection from the pool, by callback: Postgres may accept and end a connection in one piece of data, and
   * the error event would then come before code that awaits a promise runs.
   */
  #take(): Promise<pg.PoolClient> {
    return new Promise((resolve, reject) => {
      this.pool.connect((error, client) => {
        // The query under way rejects with this error, too; but without a listener, the event would end the process.
        client?.on('error', ignore);
        if (client) resolve(client);
        else reject(error);
      });
    });
  }

  /**
   * Call this if the listening connection is lost, because other connections may be lost with it. Repeatable queries
   * under way fail with POSTBUS_CONNECTION_LOST; idle connections must answer, or are ended. Queries that must not be
   * repeated go on.
   */
  distrust(): void {
    const latest = performance.now() - trustMs;
    for (const { since, giveUp } of this.#repeatable) if (since < latest) giveUp();
    this.#testIdle();
  }

  async #orGivenUp<Result>(query: Promise<Result>): Promise<Result> {
    let giveUp = () => {};
    const givenUp = new Promise<never>((_resolve, reject) => {
      giveUp = () => reject(new errors.CONNECTION_LOST('the one that listens was lost, and this one did not answer'));
    });
    const underWay = { since: performance.now(), giveUp };
    this.#repeatable.add(underWay);
    try {
      return await Promise.race([query, givenUp]);
    } finally {
      this.#repeatable.delete(underWay);
    }
  }

  /**
   * Tests all idle connections. Queries that follow wait behind the tests, or get a new connection if the pool has
   * room.
   */
  #testIdle(): void {
    if (this.#testing || this.pool.ending) return;
    const question: TimedQuery = { text: 'select', query_timeout: testTimeoutMs };
    const tests = Array.from({ length: this.pool.idleCount }, () => this.#test(question));
    this.#testing = Promise.all(tests).finally(() => {
      this.#testing = undefined;
    });
  }

  async #test(question: TimedQuery): Promise<void> {
    try {
      await this.withClient(async (client) => {
        await client.query(question).catch((error) => {
          this.onIdleError(error);
          throw error;
        });
      });
    } catch {
      // The query has ended with its connection; or there was no connection, which the next query will report.
    }
  }
}

/** True for the timeout of a query, for which pg has no code, only a message. */
function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout';
}

function ignore(): void {}
