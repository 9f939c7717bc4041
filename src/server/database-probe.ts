import pg from 'pg';
import { codedError } from '../database/coded-error.js';

// An orchestrator that asks wants an answer soon, even where the database gives none.
const patienceMs = 2_000;

/**
 * Tells whether the database answers. It has a connection of its own, so that neither a busy pool is taken for a dead
 * database, nor a hanging one uses the pool up.
 */
export class DatabaseProbe {
  readonly #pool: pg.Pool;
  #running: Promise<unknown> | undefined;

  constructor(
    connectionString: string,
    private readonly schema: string,
  ) {
    this.#pool = new pg.Pool({
      connectionString,
      application_name: 'postbus health',
      max: 1,
      connectionTimeoutMillis: patienceMs,
      query_timeout: patienceMs,
      allowExitOnIdle: true,
    });
    // The next check finds out.
    this.#pool.on('error', () => {});
  }

  /** Rejects with a coded error. However many ask at a time, one query runs. */
  async check(): Promise<void> {
    this.#running ??= this.#pool.query('select 1').finally(() => {
      this.#running = undefined;
    });
    try {
      await this.#running;
    } catch (error) {
      throw codedError(error, this.schema);
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}
