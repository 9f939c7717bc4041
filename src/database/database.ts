import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Socket } from 'node:net';
import pg from 'pg';
import { errors } from '../errors.js';
import { codedError, isLostStatement } from './coded-error.js';

export interface DatabaseOptions {
  /** `postgres://user:password@host:port/database`. Without it and without a pool, the PG… environment variables count. */
  connectionString?: string | undefined;
  /**
   * A pool to share. It is not ended by close(). The connection that listens is one more beside it, with the settings of
   * the pool, but for a `Client` class of its own and `onConnect`.
   */
  pool?: pg.Pool | undefined;
  /**
   * Ms that Postgres may take to answer, and that a message waits for others who hold its channel: 30,000 unless said
   * otherwise, at least 1000. Then the call is rejected: with POSTBUS_CONNECTION_LOST or POSTBUS_LOCKED.
   */
  queryTimeout?: number | undefined;
}

// bigint arrives as a number: ids stay below 2^53.
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid, format) =>
    oid === pg.types.builtins.INT8 && format !== 'binary' ? Number : pg.types.getTypeParser(oid, format),
};

const maxAttempts = 5;
const closeGraceMs = 500;

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
  /** Of our own pool: where the other end has vanished, a polite close waits for ever. */
  readonly #sockets = new Set<Socket>();
  readonly #statementNames = new Map<string, string>();
  #prepares = true;
  #closed = false;
  readonly queryTimeout: number;

  constructor(
    options: DatabaseOptions,
    readonly schema: string,
    onIdleError: (error: Error) => void,
  ) {
    this.queryTimeout = options.queryTimeout ?? 30_000;
    if (!Number.isInteger(this.queryTimeout) || this.queryTimeout < 1_000 || this.queryTimeout > 2_147_483_647) {
      throw new errors.BAD_OPTION('queryTimeout', 'must be a whole number of ms from 1000 to 2147483647');
    }
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
        stream: () => this.#newSocket(),
      });
    if (this.#owned) {
      this.#pool.on('error', (error) => {
        if (!this.#closed) onIdleError(error);
      });
    }
  }

  /** What the listener connects with: all that the pool gives its own clients. */
  get connection(): pg.ClientConfig {
    const { options } = this.#pool;
    // pg hides the password from spreading.
    return { ...options, password: options.password };
  }

  get pool(): pg.Pool {
    return this.#pool;
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
    const latest = Date.now() + this.queryTimeout;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.prepared<Row>(text, values);
      } catch (error) {
        // The pool hands out idle connections; after an interruption, several of them may be dead.
        const isWorthIt = attempt < maxAttempts && Date.now() < latest;
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
    if (!this.#owned) return;
    const cutOff = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, closeGraceMs);
    await this.#pool.end();
    // The pool does not wait for its connections to be gone.
    await Promise.all([...this.#sockets].map((socket) => once(socket, 'close')));
    clearTimeout(cutOff);
  }

  async #query<Row extends pg.QueryResultRow>(query: pg.QueryConfig): Promise<Row[]> {
    if (this.#closed) throw new errors.CLOSED();
    // A setting of connections, says pg's documentation; it is one of queries too, and the pool may be the user's.
    const config = { ...query, types, query_timeout: this.queryTimeout };
    try {
      const result = await this.#pool.query<Row>(config);
      return result.rows;
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

  #newSocket(): Socket {
    const socket = new Socket();
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    return socket;
  }
}
