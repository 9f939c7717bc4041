import pg from 'pg';
import { createBus } from '../../dist/index.js';
import { now } from '../generator/clock.js';
import { Histogram } from '../generator/histogram.js';
import { makePayload, type Payload } from '../generator/payload.js';
import { serve } from '../generator/thread.js';
import { WrongDelivery } from '../generator/verdict.js';
import { AcknowledgedIds } from './acknowledged-ids.js';
import { type StatementName, statements } from './statements.js';

export interface Load {
  url: string;
  /** What is called: a statement, publish_many() by SQL, or the bus's publish() in Node. */
  kind: StatementName | 'publish_many' | 'bus';
  /** Calls under way at any time; with statements, each on a connection of its own. */
  inFlight: number;
  channels: number;
  /** Bytes of data. */
  size: number;
  /** For how long, after how much that does not count; or how many calls. */
  seconds?: number;
  warmUpSeconds?: number;
  calls?: number;
}

export interface LoadReport {
  messagesPerSecond: number;
  /** Of a call, in ms. */
  p50: number;
  p99: number;
}

/** Publishes one message (publish_many: a batch of them) and resolves to the id; 0 where there is none. */
type Call = (worker: number, channel: number, data: Payload) => Promise<number>;

interface Loaded {
  call: Call;
  close: () => Promise<void>;
}

const batchSize = 100;

const handlers = {
  /** Calls again and again, with as many under way as asked for, and checks the ids that are answered. */
  async run(load: Load): Promise<LoadReport> {
    const { kind, inFlight, channels, size, seconds = Number.POSITIVE_INFINITY, warmUpSeconds = 0 } = load;
    const { calls: limit = Number.POSITIVE_INFINITY } = load;
    const names = Array.from({ length: channels }, (_, i) => `/load/${i}`);
    const { call, close } = kind === 'bus' ? openBus(load.url, names) : await openConnections(load, names);
    const before = await lastIds(load.url, names);
    const ids = new AcknowledgedIds(channels);
    const latency = new Histogram();
    let calls = 0;
    const started = now() + warmUpSeconds * 1e6;
    const end = started + seconds * 1e6;

    const work = async (worker: number) => {
      for (let at = now(); at < end && calls < limit; at = now()) {
        const n = calls++;
        const channel = n % channels;
        const place = ids.expect(channel);
        const id = await call(worker, channel, makePayload(0, n, at, size));
        place.ids[place.place] = id;
        const done = now();
        if (at >= started && done <= end) latency.add(done - at);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, (_, worker) => work(worker)));
    const elapsed = limit < Number.POSITIVE_INFINITY ? (now() - started) / 1e6 : seconds;
    await close();
    if (kind === 'publish' || kind === 'bus') {
      const faults = ids.faults(before, await lastIds(load.url, names), kind === 'bus');
      if (faults.length > 0) throw new WrongDelivery(faults.slice(0, 3).join('; '));
    }
    return {
      messagesPerSecond: (latency.count * (kind === 'publish_many' ? batchSize : 1)) / elapsed,
      p50: latency.quantile(0.5),
      p99: latency.quantile(0.99),
    };
  },
};

function openBus(url: string, names: readonly string[]): Loaded {
  const bus = createBus({ connectionString: url });
  return {
    call: (_worker, channel, data) => bus.publish(names[channel] ?? '', data),
    close: () => bus.close(),
  };
}

async function openConnections({ url, kind, inFlight }: Load, names: readonly string[]): Promise<Loaded> {
  const clients = Array.from({ length: inFlight }, () => new pg.Client(url));
  await Promise.all(clients.map((client) => client.connect()));
  const query = async (worker: number, text: string, values: string[]) => {
    const result = await clients[worker]?.query<{ id?: string }>({ name: 'load', text, values });
    return Number(result?.rows[0]?.id ?? 0);
  };
  return {
    call: (worker, number, data) => {
      const channel = names[number] ?? '';
      if (kind !== 'publish_many' && kind !== 'bus') {
        return query(worker, statements[kind], [channel, JSON.stringify(data)]);
      }
      const batch = Array.from({ length: batchSize }, () => ({ channel, data }));
      return query(worker, 'select message_bus.publish_many($1)', [JSON.stringify(batch)]);
    },
    close: async () => {
      await Promise.all(clients.map((client) => client.end()));
    },
  };
}

async function lastIds(url: string, names: readonly string[]): Promise<number[]> {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query<{ ids: string[] }>('select message_bus.last_ids($1) as ids', [names]);
  await client.end();
  return (rows[0]?.ids ?? []).map(Number);
}

export type LoadThread = typeof handlers;

serve(handlers);
