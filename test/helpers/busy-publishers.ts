import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Bus } from '../../src/index.js';

export interface Publishers {
  pool: pg.Pool;
  buses: readonly Bus[];
  channels: readonly string[];
  /** Each way of publishing is taken so many times. */
  rounds: number;
  /** Ms between two publications of one publisher, at most. */
  pause?: number;
}

/**
 * Publishes in every way at once, with random pauses: through the bus, in SQL, in transactions that stay open, in
 * batches, some of it rolled back, messages that fit into a notification and messages that do not. Resolves to the
 * number of messages in each channel.
 */
export async function publishBusily({ pool, buses, channels, rounds, pause = 6 }: Publishers): Promise<number[]> {
  const counts = channels.map(() => 0);
  const some = () => Math.floor(Math.random() * channels.length);
  const count = (i: number, by = 1) => {
    counts[i] = (counts[i] ?? 0) + by;
  };
  const data = () => JSON.stringify('x'.repeat(Math.random() < 0.15 ? 9_000 : Math.random() * 100));
  const ways = [
    ...buses.map((bus) => async () => {
      const i = some();
      await bus.publish(channels[i] ?? '', JSON.parse(data()));
      count(i);
    }),
    async () => {
      const i = some();
      await pool.query('select message_bus.publish($1, $2)', [channels[i], data()]);
      count(i);
    },
    async () => {
      const batch = Array.from({ length: 1 + Math.floor(Math.random() * 5) }, some);
      const messages = batch.map((i) => `{"channel":"${channels[i]}","data":${data()}}`);
      await pool.query('select message_bus.publish_many($1)', [`[${messages}]`]);
      for (const i of batch) count(i);
    },
    async () => {
      const i = some();
      const isRolledBack = Math.random() < 0.3;
      const client = await pool.connect();
      await client.query('begin');
      await client.query('select message_bus.publish($1, $2)', [channels[i], data()]);
      await delay(Math.random() * pause);
      await client.query('select message_bus.publish($1, $2)', [channels[i], data()]);
      await client.query(isRolledBack ? 'rollback' : 'commit');
      client.release();
      if (!isRolledBack) count(i, 2);
    },
  ];
  await Promise.all(
    ways.map(async (publish) => {
      for (let round = 0; round < rounds; round++) {
        await publish();
        await delay(Math.random() * pause);
      }
    }),
  );
  return counts;
}
