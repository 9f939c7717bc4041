import pg from 'pg';
import type { Random } from '../random.js';
import type { Call, Way } from './publisher.js';

/** Longer than any lock that the load takes; a connection that has died without a word is given up then. */
const answerTimeoutMs = 8_000;

/** Thrown by a call that has rolled back what it published. */
export class RolledBack extends Error {}

/** A way that sends SQL over one connection, and over a new one when that has broken. */
export abstract class SqlWay implements Way {
  abstract readonly name: string;
  #client: pg.Client | undefined;

  constructor(private readonly url: () => string) {}

  abstract compose(random: Random, tag: () => string): Call;

  isRefusal(error: unknown): boolean {
    if (error instanceof RolledBack) return true;
    // FATAL, as when a session is terminated, leaves open whether a commit was just done. An ERROR does not.
    if (error instanceof pg.DatabaseError) return error.severity === 'ERROR';
    return error instanceof Error && error.message === notConnected;
  }

  async close(): Promise<void> {
    await this.#client?.end().catch(() => {});
    this.#client = undefined;
  }

  /** Calls `use` with a connection; one that has failed in any way is not used again. */
  protected async withClient<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = await this.#connect();
    try {
      return await use(client);
    } catch (error) {
      if (this.#client === client) this.#client = undefined;
      // Not waited for: the other side of a half-open connection never answers.
      void client.end().catch(() => {});
      throw error;
    }
  }

  async #connect(): Promise<pg.Client> {
    if (this.#client) return this.#client;
    const client = new pg.Client({
      connectionString: this.url(),
      application_name: 'chaos publisher',
      connectionTimeoutMillis: 2_000,
      query_timeout: answerTimeoutMs,
    });
    client.on('error', () => {
      if (this.#client === client) this.#client = undefined;
    });
    try {
      await client.connect();
    } catch {
      void client.end().catch(() => {});
      throw new Error(notConnected);
    }
    this.#client = client;
    return client;
  }
}

const notConnected = 'no connection';
