import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/embedded-postgres/index.js';
import { createBus } from '../../../src/index.js';
import { freePort } from '../../helpers/free-port.js';
import type { Stage } from '../stage.js';

/**
 * A crash of Postgres is a kill -9 here, never a loss of power: what was written is still there without fsync, which would
 * only take the disk's time. Everything else is as in production.
 */
const durability = { fsync: 'off' };

export interface PostgresOptions {
  /** Settings of the server. */
  readonly settings?: Record<string, string>;
  /** Where its data are; by default in a folder of its own. */
  readonly folder?: string;
}

/** A Postgres of the scenario's own, which can be stopped, killed and started again at the same address. */
export class ChaosPostgres {
  #server: EmbeddedPostgres | undefined;
  /** Where it answers while it runs. */
  url = '';

  private constructor(
    readonly folder: string,
    readonly settings: Record<string, string>,
    private readonly port: number,
  ) {}

  static async start(stage: Stage, { settings = {}, folder = stage.folder() }: PostgresOptions = {}) {
    execFileSync('cp', ['-a', `${stage.run.template}/.`, folder]);
    const all = { max_connections: '200', ...durability, ...settings };
    const postgres = new ChaosPostgres(folder, all, await freePort());
    stage.teardown(() => postgres.stop());
    await postgres.start();
    return postgres;
  }

  /** Where Postgres keeps its files. */
  get data(): string {
    return join(this.folder, 'data');
  }

  get pid(): number {
    if (!this.#server) throw new Error('Postgres does not run');
    return this.#server.postmasterPid;
  }

  async start(): Promise<void> {
    const { folder, port, settings } = this;
    this.#server = await startEmbeddedPostgres({ folder, port, settings });
    this.url = this.#server.url;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await server?.stop();
  }

  /** kill -9 of the postmaster, in the midst of whatever its backends do; resolves when all of them are gone. */
  async kill(): Promise<void> {
    const server = this.#server;
    if (!server) throw new Error('Postgres does not run');
    process.kill(server.postmasterPid, 'SIGKILL');
    await server.stopped;
    this.#server = undefined;
  }

  async query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]> {
    return withClient(this.url, async (client) => (await client.query<Row>(text, values)).rows);
  }
}

export async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'chaos' });
  client.on('error', () => {});
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

/** Makes the data that all scenarios begin with. */
export async function makeTemplate(folder: string): Promise<void> {
  const server = await startEmbeddedPostgres({ folder, settings: durability });
  const bus = createBus({ connectionString: server.url });
  await bus.migrate();
  await bus.close();
  await server.stop();
}
