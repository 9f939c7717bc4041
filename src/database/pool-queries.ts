import type pg from 'pg';
import { errors } from '../foundation/errors.js';

/** A setting of connections, says pg's documentation of it; it is one of queries too, and the pool may be the user's. */
export interface TimedQuery extends pg.QueryConfig {
  /** Ms. */
  query_timeout: number;
}

interface UnderWay {
  /** In ms of performance.now(). */
  since: number;
  giveUp: () => void;
}

// So long may an idle connection take to prove that it is alive. What waits for one waits no longer.
const testTimeoutMs = 2_000;
// A query that was sent less than that ago is not taken for lost with the connection that listens.
const trustMs = 1_000;

/**
 * Queries on a pool, each on a connection of its own for as long as it takes. A connection whose other end has vanished says
 * nothing, so each one that does not answer makes the others suspect.
 */
export class PoolQueries {
  readonly #repeatable = new Set<UnderWay>();
  #testing: Promise<unknown> | undefined;

  constructor(
    private readonly pool: pg.Pool,
    /**
     * Called for each connection that broke while a test of ours held it. The pool tells of those that break while it holds
     * them: which of the two it is depends on whether the end of the listening connection is noticed first.
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

  /** Whatever fails ends the connection, and with it a transaction that is open on it. */
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
   * By a callback: a connection may be there and be ended in one piece of data, and the event of its end comes before whoever waits
   * for a promise.
   */
  #take(): Promise<pg.PoolClient> {
    return new Promise((resolve, reject) => {
      this.pool.connect((error, client) => {
        // The query that is under way fails of it, too; but unheard, the event would end the process.
        client?.on('error', ignore);
        if (client) resolve(client);
        else reject(error);
      });
    });
  }

  /**
   * The connection that listens is gone, and others may be gone with it. Queries under way that can be asked again fail with
   * POSTBUS_CONNECTION_LOST; idle connections have to answer, or are ended. What may not be asked again is left alone.
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

  /** Those who ask next wait behind the tests, or get a new connection if the pool has room. */
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
      // Ended with the connection; or there was none to be had, and whoever asks next is told.
    }
  }
}

/** pg says so in words alone. */
function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout';
}

function ignore(): void {}
