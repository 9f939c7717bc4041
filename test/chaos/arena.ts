import { setTimeout as delay } from 'node:timers/promises';
import { type Bus, createBus } from '../../src/index.js';
import { Ledger } from './accounting/ledger.js';
import type { Row } from './accounting/publication.js';
import type { Reader } from './accounting/reader.js';
import { readTables } from './accounting/tables.js';
import { takeStock } from './accounting/take-stock.js';
import { addFigures, type Figures } from './figures.js';
import { type Listener, startClients, startFollower, subscribeEverywhere } from './load/audience.js';
import { BusWay, HttpWay } from './load/node-ways.js';
import { Publisher, type Way } from './load/publisher.js';
import { ChangesWay, PublishLaterWay, PublishManyWay, PublishWay, TransactionWay } from './load/sql-ways.js';
import { schema } from './load/world.js';
import { withClient } from './parts/client.js';
import { startGateway } from './parts/gateway.js';
import { ChaosNode } from './parts/node.js';
import { ChaosPostgres, type PostgresOptions } from './parts/postgres.js';
import type { Stage } from './stage.js';

export interface ArenaOptions extends PostgresOptions {
  readonly nodes?: number;
  /** What is done to the database first. */
  readonly prepare?: (postgres: ChaosPostgres) => Promise<void>;
  /** The way of the nodes and the bus of this process to Postgres, if it is not the direct one. */
  readonly way?: (postgres: ChaosPostgres) => Promise<() => string>;
  /** Whether publish_later() goes by the relay; by default the seed decides. */
  readonly relay?: boolean;
  /** Whether each HTTP client keeps to one node, which is not to be killed then; by default each connection goes to any of them. */
  readonly isSticky?: boolean;
  /** Further ways to publish. */
  readonly ways?: (url: () => string) => readonly Way[];
  /** Mean time, in ms, between two calls of one publisher. */
  readonly pauseMs?: number;
}

/** How long it may take, after the trouble is over, until everybody can publish. */
const recoverMs = 30_000;
/** How long readers may take, after the last message is published. */
const settleMs = 30_000;

/** Postgres, nodes, publishers of every kind and readers of every kind, all of which are accounted for. */
export class Arena {
  #ledger = new Ledger();
  /** Of the time before the last restore. */
  #figuresBefore: Figures | undefined;
  #restoredTo: number | undefined;
  #generation = 0;
  readonly listeners: Listener[] = [];
  readonly #publishers: Publisher[] = [];

  private constructor(
    readonly stage: Stage,
    readonly postgres: ChaosPostgres,
    readonly nodes: readonly ChaosNode[],
    readonly bus: Bus,
    /** One address for all nodes. */
    readonly gateway: string,
    private readonly pauseMs: number,
    private readonly ways: NonNullable<ArenaOptions['ways']>,
  ) {}

  static async open(
    stage: Stage,
    { nodes = 2, prepare, way, relay, isSticky = false, ways, pauseMs = 25, ...options }: ArenaOptions = {},
  ) {
    const postgres = await ChaosPostgres.start(stage, options);
    await prepare?.(postgres);
    await postgres.query(schema);
    if (relay ?? stage.random.isBelow(0.5)) await postgres.query('select message_bus.configure(relay => true)');
    const address = (await way?.(postgres)) ?? (() => postgres.url);
    const running = await Promise.all(
      Array.from({ length: nodes }, (_, i) => ChaosNode.start(stage, `node ${i + 1}`, address)),
    );
    const silent = { warn: () => {}, error: () => {} };
    const bus = createBus({ connectionString: address(), keepaliveInterval: 1_000, logger: silent });
    stage.teardown(() => bus.close());
    const arena = new Arena(
      stage,
      postgres,
      running,
      bus,
      await startGateway(stage, running),
      pauseMs,
      ways ?? (() => []),
    );
    stage.teardown(() => arena.#stop());
    await arena.#begin(isSticky ? running.map((node) => node.url) : [arena.gateway]);
    return arena;
  }

  get readers(): readonly Reader[] {
    return [...this.nodes, ...this.listeners].map(({ reader }) => reader);
  }

  async #begin(addresses: readonly string[]): Promise<void> {
    const url = () => this.postgres.url;
    this.listeners.push(
      ...(await subscribeEverywhere(this.bus)),
      ...startClients(addresses, this.stage.random),
      startFollower(this.stage, url),
    );
    this.publish();
  }

  /** Publishers of all kinds, from now until the accounts are made up. */
  publish(): void {
    this.#generation++;
    const url = () => this.postgres.url;
    const ways = [
      new PublishWay(url),
      new TransactionWay(url),
      new PublishManyWay(url),
      new PublishLaterWay(url),
      new ChangesWay(url),
      new BusWay(this.bus),
      new HttpWay(() => this.gateway),
      ...this.ways(url),
    ];
    for (const way of ways) {
      this.#publishers.push(new Publisher(way, this.#ledger, this.stage.random.fork(), this.pauseMs, this.#generation));
    }
  }

  /** When all publish again, they are stopped, readers get the rest, and all of it is held against the tables. */
  async settle(): Promise<void> {
    const publishers = this.#publishers.splice(0);
    const late = await this.#recover(publishers);
    await Promise.all(publishers.map((publisher) => publisher.stop()));
    if (process.env.CHAOS_VERBOSE) for (const { errors } of publishers) for (const each of errors) console.log(...each);
    const rows = await this.#drain();
    const figures = takeStock({
      ledger: this.#ledger,
      readers: this.readers,
      rows,
      applied: await this.#appliedRows(),
      restoredTo: this.#restoredTo,
    });
    const all = this.#figuresBefore ? addFigures(this.#figuresBefore, figures) : figures;
    this.stage.figures = { ...all, wrong: [...late, ...all.wrong] };
  }

  /** The tables have gone back, after settle(): from here on accounts begin anew. Resolves to the last global id. */
  async beginAnew(): Promise<number> {
    const rows = await withClient(this.postgres.url, readTables);
    const last = rows.at(-1)?.globalId ?? 0;
    this.#figuresBefore = this.stage.figures;
    this.#restoredTo = last;
    this.#ledger = new Ledger();
    for (const reader of this.readers) reader.beginAnew(last);
    return last;
  }

  /** Resolves to complaints of publishers that cannot publish although the trouble is over. */
  async #recover(publishers: readonly Publisher[]): Promise<string[]> {
    const counts = new Map(publishers.map((publisher) => [publisher, publisher.acknowledged]));
    const end = Date.now() + recoverMs;
    for (;;) {
      for (const [publisher, count] of counts) if (publisher.acknowledged > count) counts.delete(publisher);
      if (counts.size === 0 || Date.now() > end) break;
      await delay(20);
    }
    return [...counts.keys()].map(({ way }) => `${way.name}: cannot publish ${recoverMs} ms after the trouble is over`);
  }

  /** Resolves to what the tables hold when everybody has it, or the time for it is over. */
  async #drain(): Promise<Row[]> {
    const end = Date.now() + settleMs;
    for (;;) {
      const rows = await withClient(this.postgres.url, readTables);
      const areComplete = () => this.readers.every((reader) => reader.isComplete(rows));
      while (!areComplete() && Date.now() < end) await delay(50);
      // What is sent twice, or to others, comes now.
      await delay(400);
      const [state] = await this.postgres.query<{ waiting: number }>(
        'select waiting::int as waiting from message_bus.relay_state()',
      );
      const now = await withClient(this.postgres.url, readTables);
      if (Date.now() > end || (state?.waiting === 0 && now.length === rows.length)) return now;
    }
  }

  /** The tags of rows that the application committed beside messages. */
  async #appliedRows(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    const tagsOf = async (table: string) => {
      const rows = await this.postgres.query<{ tag: string }>(`select tag from ${table}`);
      return new Set(rows.map(({ tag }) => tag));
    };
    return new Map([
      ['later-', await tagsOf('rows_of_later')],
      ['changes-', await tagsOf('rows_of_changes')],
    ]);
  }

  async #stop(): Promise<void> {
    await Promise.all(this.#publishers.map((publisher) => publisher.stop()));
    await Promise.all(this.listeners.map((listener) => listener.stop()));
  }
}
