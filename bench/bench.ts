import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { createBus } from '../dist/index.js';
import type { ListenerThread } from './database/listener-thread.js';
import type { LoadThread } from './database/load-thread.js';
import { Fleet, type FleetOptions } from './generator/fleet.js';
import { Thread } from './generator/thread.js';
import type { Outcome } from './measurement.js';
import type { Pace } from './pace.js';
import { type ServerOptions, ServerProcess } from './servers/server-process.js';

/** One of the questions that the bench answers. */
export interface Target {
  number: number;
  /** Names its file of results. */
  name: string;
  title: string;
  /** How it is measured: a sentence. */
  how: string;
  measure(bench: Bench): Promise<Outcome>;
}

/** Bytes of data in every message. */
export const messageSize = 120;

/** What a target measures with. Whatever it starts is ended with it. */
export class Bench {
  readonly #ends: (() => Promise<void>)[] = [];

  constructor(
    readonly pace: Pace,
    private readonly adminUrl: string,
    private readonly serverOptions: ServerOptions,
    readonly log: (line: string) => void,
  ) {}

  /** Runs of all sides in turns: a machine that drifts drifts under all of them. */
  async rounds(round: (number: number) => Promise<void>): Promise<void> {
    for (let i = 0; i < this.pace.runs; i++) await round(i);
  }

  /** An empty database with the schema of the bus. */
  async database(): Promise<string> {
    const name = `bench_${randomBytes(6).toString('hex')}`;
    await this.admin(`create database ${name}`);
    this.#ends.push(() => this.admin(`drop database ${name} with (force)`));
    const url = new URL(this.adminUrl);
    url.pathname = `/${name}`;
    const bus = createBus({ connectionString: url.href });
    await bus.migrate();
    await bus.close();
    return url.href;
  }

  /** A statement outside of the databases measured, such as a checkpoint between runs. */
  async admin(statement: string): Promise<void> {
    const client = new pg.Client(this.adminUrl);
    await client.connect();
    await client.query(statement).finally(() => client.end());
  }

  async connect(url: string): Promise<pg.Client> {
    const client = new pg.Client(url);
    await client.connect();
    this.#ends.push(() => client.end());
    return client;
  }

  async bare(): Promise<ServerProcess> {
    return this.#ended(await ServerProcess.startBare(this.serverOptions));
  }

  async postbus(url: string): Promise<ServerProcess> {
    return this.#ended(await ServerProcess.startPostbus(url, this.serverOptions));
  }

  fleet(options: FleetOptions): Fleet {
    const fleet = new Fleet(options);
    this.#ends.push(() => fleet.close());
    return fleet;
  }

  /** A thread that puts load on a database. */
  load(): Thread<LoadThread> {
    const thread = new Thread<LoadThread>(new URL('./database/load-thread.js', import.meta.url));
    this.#ends.push(() => thread.end());
    return thread;
  }

  /** Has a session of another thread listen, as nodes do, so that NOTIFY has somebody to wake. */
  async listen(url: string, channel: string): Promise<void> {
    const thread = new Thread<ListenerThread>(new URL('./database/listener-thread.js', import.meta.url));
    this.#ends.push(async () => {
      await thread.call('close');
      await thread.end();
    });
    await thread.call('listen', { url, channel });
  }

  /** Does a part of the work with a bench of its own: what that starts is ended first. */
  async within<Result>(part: (bench: Bench) => Promise<Result>): Promise<Result> {
    const bench = new Bench(this.pace, this.adminUrl, this.serverOptions, this.log);
    try {
      return await part(bench);
    } finally {
      await bench.end();
    }
  }

  /** Runs something when all is over. */
  onEnd(end: () => Promise<void>): void {
    this.#ends.push(end);
  }

  async end(): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
  }

  #ended(server: ServerProcess): ServerProcess {
    this.#ends.push(() => server.stop());
    return server;
  }
}
