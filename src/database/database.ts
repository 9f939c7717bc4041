import pg from 'pg';
import { errors } from '../errors.js';
import { codedError } from './coded-error.js';

export interface DatabaseOptions {
  /** `postgres://user:password@host:port/database`. Without it and without a pool, the PG… environment variables count. */
  connectionString?: string | undefined;
  /** A pool to share. It is not ended by close(). */
  pool?: pg.Pool | undefined;
}

// bigint arrives as a number: ids stay below 2^53.
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid, format) =>
    oid === pg.types.builtins.INT8 && format !== 'binary' ? Number : pg.types.getTypeParser(oid, format),
};

const maxAttempts = 5;

/** pg would complain of it at the first connection, in the words of its URL parser. @throws POSTBUS_BAD_OPTION */
export function checkConnectionString(connectionString: unknown): void {
  if (connectionString === undefined) return;
  try {
    if (typeof connectionString === 'string' && connectionString !== '') {
      new pg.Client({ connectionString });
      return;
    }
  } catch {
    // It holds the password, so it is not repeated.
  }
  throw new errors.BAD_OPTION('connectionString', 'must be a URL such as postgres://user:password@host:5432/database');
}

/** The pool that everything but the listener goes through; turns what Postgres says into coded errors. */
export class Database {
  readonly #pool: pg.Pool;
  readonly #owned: boolean;
  #closed = false;

  constructor(
    options: DatabaseOptions,
    readonly schema: string,
    onIdleError: (error: Error) => void,
  ) {
    this.#owned = options.pool === undefined;
    this.#pool =
      options.pool ??
      new pg.Pool({
        ...(options.connectionString === undefined ? {} : { connectionString: options.connectionString }),
        application_name: 'postbus',
        connectionTimeoutMillis: 10_000,
        keepAlive: true,
        // An idle connection that breaks tells nobody but the pool, and is replaced by it.
        allowExitOnIdle: true,
      });
    if (this.#owned) this.#pool.on('error', onIdleError);
  }

  /** What the listener connects with: the pool's own settings. */
  get connection(): pg.ClientConfig {
    const { host, port, user, password, database, connectionString, ssl } = this.#pool.options;
    const given = { host, port, user, password, database, connectionString, ssl };
    return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  }

  get pool(): pg.Pool {
    return this.#pool;
  }

  async query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    if (this.#closed) throw new errors.CLOSED();
    try {
      const result = await this.#pool.query<Row>({ text, values, types });
      return result.rows;
    } catch (error) {
      throw codedError(error, this.schema);
    }
  }

  /** A query that changes nothing: asked again where the connection breaks under it. */
  async read<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.query<Row>(text, values);
      } catch (error) {
        // The pool hands out idle connections; after an interruption, several of them may be dead.
        if (attempt === maxAttempts || !(error instanceof errors.CONNECTION_LOST)) throw error;
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
    if (this.#owned) await this.#pool.end();
  }
}
