import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/embedded-postgres/index.js';
import { createBus } from '../../../src/index.js';
import { freePort } from '../../helpers/free-port.js';
import type { Stage } from '../stage.js';
import { withClient } from './client.js';
import { type FakedClock, restartByClock } from './faked-clock.js';

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
  /** The clock that it goes by, if it is not the machine's. */
  readonly clock?: FakedClock;
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
    private readonly clock: FakedClock | undefined,
  ) {}

  static async start(stage: Stage, { settings = {}, folder = stage.folder(), clock }: PostgresOptions = {}) {
    execFileSync('cp', ['-a', `${stage.run.template}/.`, folder]);
    // For Postgres, which runs under another account if root runs this.
    chmodSync(folder, 0o755);
    const all = { max_connections: '200', ...durability, ...settings };
    const postgres = new ChaosPostgres(folder, all, await freePort(), clock);
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
    if (this.clock) this.#server = await restartByClock(this.#server, this.data, this.clock);
    this.url = this.#server.url;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await server?.stop();
  }

  /** For a server that may have given up by itself. */
  async ensureRunning(): Promise<void> {
    const isAnswering = await withClient(this.url, () => Promise.resolve(true)).catch(() => false);
    if (isAnswering) return;
    await this.stop();
    await this.start();
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

/** Makes the data that all scenarios begin with. */
export async function makeTemplate(folder: string): Promise<void> {
  const server = await startEmbeddedPostgres({ folder, settings: durability });
  const bus = createBus({ connectionString: server.url });
  await bus.migrate();
  await bus.close();
  await server.stop();
}
