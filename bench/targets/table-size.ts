import type { Client } from 'pg';
import { type Bench, messageSize, type Target } from '../bench.js';
import { type Curves, type Line, side } from '../measurement.js';

const parts = 10;
const inFlight = 512;
const tables = `select coalesce(sum(pg_total_relation_size(c.oid)), 0)::float8 as bytes
  from pg_class c where c.relnamespace = 'message_bus'::regnamespace and c.relkind in ('r', 'm', 'S')`;
const liveRows = `select coalesce(sum(pg_column_size(m.*)), 0)::float8 as bytes
  from unnest($1::text[]) channel cross join lateral message_bus.backlog(channel) m`;

interface Filling {
  /** Messages a second, by tenth of the publishes. */
  rates: number[];
  /** Bytes of all relations of the bus, by tenth. */
  sizes: number[];
  /** Bytes of the rows that can be read at the end. */
  live: number;
}

export const tableSize: Target = {
  number: 12,
  name: 'table-size',
  title: 'What two million publishes leave behind',
  how: 'Two million messages are published by bus.publish(), 512 in flight. The size of all relations of the schema, with their indexes, is compared with that of the rows that message_bus.backlog() returns at the end (as pg_column_size() has it), and the rate of the last tenth with that of the first.',
  async measure(bench) {
    const cases = [1, 1000].map((channels) => ({ channels, fillings: [] as Filling[] }));
    await bench.rounds(async () => {
      for (const { channels, fillings } of cases) fillings.push(await bench.within((part) => fill(part, channels)));
    });
    const lines = cases.flatMap(({ channels, fillings }): Line[] => {
      const where = channels === 1 ? 'one channel' : `${channels} channels`;
      const runs = (of: (filling: Filling) => number | undefined) =>
        fillings.map((filling) => ({ value: of(filling) ?? Number.NaN, generatorBusy: 0 }));
      return [
        {
          what: `2 million publishes on ${where}: relations at the end`,
          unit: 'MB',
          floor: side(
            'rows that can be read',
            runs(({ live }) => live / 1e6),
          ),
          measured: side(
            'postbus',
            runs(({ sizes }) => (sizes.at(-1) ?? Number.NaN) / 1e6),
          ),
          goal: { atMost: 10 },
        },
        {
          what: `2 million publishes on ${where}: the last tenth`,
          unit: 'messages/s',
          floor: side(
            'the first tenth',
            runs(({ rates }) => rates[0]),
          ),
          measured: side(
            'postbus',
            runs(({ rates }) => rates.at(-1)),
          ),
          goal: { atLeast: 0.8 },
        },
      ];
    });
    const curves: Curves = {};
    for (const { channels, fillings } of cases) {
      const last = fillings.at(-1);
      const name = channels === 1 ? 'one channel' : `${channels} channels`;
      const live = (last?.live ?? 0) / 1e6;
      curves[`rows that can be read, ${name}`] = [
        [bench.pace.publishes / parts, live],
        [bench.pace.publishes, live],
      ];
      curves[`relations, ${name}`] = (last?.sizes ?? []).map((bytes, i) => [
        ((i + 1) * bench.pace.publishes) / parts,
        bytes / 1e6,
      ]);
    }
    return { lines, curves };
  },
};

async function fill(bench: Bench, channels: number): Promise<Filling> {
  const url = await bench.database();
  const client = await bench.connect(url);
  const thread = bench.load();
  const load = { url, kind: 'bus', inFlight, channels, size: messageSize } as const;
  // Code that was never run is compiled on the way: not to be taken for the rate of the first tenth.
  await thread.call('run', { ...load, calls: Math.min(10_000, bench.pace.publishes / parts) });
  const rates: number[] = [];
  const sizes: number[] = [];
  for (let part = 0; part < parts; part++) {
    const { messagesPerSecond } = await thread.call('run', { ...load, calls: bench.pace.publishes / parts });
    rates.push(messagesPerSecond);
    sizes.push(await bytes(client, tables));
  }
  const names = Array.from({ length: channels }, (_, i) => `/load/${i}`);
  const live = await bytes(client, liveRows, [names]);
  bench.log(
    `  ${channels} channels: ${((sizes.at(-1) ?? 0) / 1e6).toFixed(1)} MB for ${(live / 1e6).toFixed(1)} MB of rows, ` +
      `${rates.map((rate) => Math.round(rate)).join(' ')} messages/s`,
  );
  return { rates, sizes, live };
}

async function bytes(client: Client, text: string, values: unknown[] = []): Promise<number> {
  const { rows } = await client.query<{ bytes: number }>(text, values);
  return rows[0]?.bytes ?? 0;
}
