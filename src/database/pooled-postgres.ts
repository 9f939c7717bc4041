import { once } from 'node:events';
import { Socket } from 'node:net';
import pg from 'pg';
import { errors } from '../foundation/errors.js';
import { checkConnectionString } from './connection-string.js';
import { PgListeningConnection } from './pg-listening-connection.js';
import { PoolQueries } from './pool-queries.js';
import type { ListeningConnection, Postgres, Query, RunStatement } from './postgres.js';
import { resultTypes } from './result-types.js';

export interface DatabaseOptions {
  /**
   * URL of the database: `postgres://user:password@host:port/database`. If neither this key nor `pool` is present, the
   * PG… environment variables count. An undefined value is refused, because it usually comes from a variable that is
   * not set.
   */
  connectionString?: string | undefined;
  /**
   * A pool to share. close() does not end it. The listening connection is one more beside the pool, with the settings
   * of the pool except for a `Client` class of its own and `onConnect`.
   */
  pool?: pg.Pool | undefined;
  /**
   * URL for the listening connection, if it needs another way to the same database: LISTEN does not work through a
   * pooler in transaction mode. Then neither `connectionString` nor the settings of the pool count for that connection.
   */
  listenConnectionString?: string | undefined;
  /**
   * Ms that Postgres may take to answer, and that a message waits while other transactions hold its channel's lock.
   * After that the call is rejected with POSTBUS_CONNECTION_LOST or POSTBUS_LOCKED. A publish that is under way has two
   * thirds of it. At least 1000; default: 30000.
   */
  queryTimeout?: number | undefined;
}

const closeGraceMs = 500;
/** The longest timeout of a timer in Node, in ms. */
const maxTimeoutMs = 2_147_483_647;

/**
 * Refuses an undefined address: usually it was forgotten, such as a DATABASE_URL that is not set, and pg would connect
 * to whatever runs on this machine.
 *
 * @throws POSTBUS_BAD_OPTION
 */
function checkIsGiven(options: DatabaseOptions): void {
  const { connectionString, pool } = options;
  if (pool) {
    // A client has no `options`; a promise of a pool has neither.
    if (typeof pool.connect === 'function' && typeof pool.options === 'object') return;
    throw new errors.BAD_OPTION('pool', 'must be a pool of the package pg: new pg.Pool()');
  }
  if (connectionString !== undefined) return;
  for (const option of ['connectionString', 'pool'] as const) {
    if (!(option in options)) continue;
    throw new errors.BAD_OPTION(
      option,
      `is ${options[option]}. Is a variable such as DATABASE_URL not set? Leave the key out to let the PG… environment variables count`,
    );
  }
}

/** A Postgres server, reached by a pool. The bus listens on one more connection beside it. */
export class PooledPostgres implements Postgres {
  readonly #pool: pg.Pool;
  readonly #queries: PoolQueries;
  readonly #owned: boolean;
  readonly #listenConnectionString: string | undefined;
  /** The sockets of our own pool: if the other end has vanished, a polite close waits for ever. */
  readonly #sockets = new Set<Socket>();
  #closed = false;

  constructor(options: DatabaseOptions, onIdleError: (error: Error) => void) {
    const { connectionString, pool, listenConnectionString } = options;
    checkIsGiven(options);
    if (pool && connectionString !== undefined) {
      throw new errors.BAD_OPTION('connectionString', 'comes with a pool. Give one of the two');
    }
    checkConnectionString(connectionString, 'connectionString');
    checkConnectionString(listenConnectionString, 'listenConnectionString');
    this.#listenConnectionString = listenConnectionString;
    this.#owned = pool === undefined;
    this.#pool =
      pool ??
      new pg.Pool({
        ...(connectionString === undefined ? {} : { connectionString }),
        application_name: 'postbus',
        connectionTimeoutMillis: 10_000,
        keepAlive: true,
        // Idle connections do not keep the process alive. If one breaks, only the pool learns of it, and replaces it.
        allowExitOnIdle: true,
        stream: () => this.#newSocket(),
      });
    // A shared pool reports broken connections to its owner.
    const onBroken = (error: Error) => {
      if (this.#owned && !this.#closed) onIdleError(error);
    };
    this.#queries = new PoolQueries(this.#pool, onBroken);
    if (this.#owned) this.#pool.on('error', onBroken);
  }

  async query<Row extends pg.QueryResultRow>({ timeout, isRepeatable, ...query }: Query): Promise<Row[]> {
    return this.#queries.query<Row>({ ...query, types: resultTypes, query_timeout: timeout }, isRepeatable);
  }

  async transaction(run: (statement: RunStatement) => Promise<void>): Promise<void> {
    await this.#queries.withClient(async (client) => {
      await client.query('begin isolation level read committed');
      await run(async (text, values) => {
        // Only Postgres can know how long the statements of a transaction may take. A timeout of 0 would mean that of
        // the pool.
        const config = {
          text,
          types: resultTypes,
          query_timeout: maxTimeoutMs,
          ...(values && { values: [...values] }),
        };
        return (await client.query(config)).rows;
      });
      await client.query('commit');
    });
  }

  /**
   * Connects with listenConnectionString if it was given, or else with all settings that the pool gives its own
   * clients.
   */
  newListeningConnection(): ListeningConnection {
    const connectionString = this.#listenConnectionString;
    const { options } = this.#pool;
    // The password is copied by name, because pg makes it non-enumerable, and a spread would lose it.
    const config = connectionString === undefined ? { ...options, password: options.password } : { connectionString };
    const connection = new PgListeningConnection(config);
    void connection.lost.then(() => this.#queries.distrust());
    return connection;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (!this.#owned) return;
    const cutOff = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, closeGraceMs);
    await this.#pool.end();
    // pool.end() does not wait until the sockets are closed.
    await Promise.all([...this.#sockets].map((socket) => once(socket, 'close')));
    clearTimeout(cutOff);
  }

  #newSocket(): Socket {
    const socket = new Socket();
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    return socket;
  }
}
