import { setTimeout as delay } from 'node:timers/promises';
import { createBus } from '../../dist/index.js';
import type { Bench, Target } from '../bench.js';
import { Histogram } from '../generator/histogram.js';
import { type Run, side } from '../measurement.js';
import { type DatabaseRun, rateOf, StatementLoad } from './statement-load.js';

export const relay: Target = {
  number: 16,
  name: 'relay',
  title: 'publish_later() with the relay',
  how: '32 connections call message_bus.publish_later(), each in a transaction of its own, on 1000 channels, while a node relays; against as many that insert a row into a plain table, alone and with pg_notify(). Then, with nothing else to do, how long it takes from the commit to a callback of the node.',
  async measure(bench) {
    const load = await StatementLoad.open(bench);
    const client = await bench.connect(load.url);
    await client.query('select message_bus.configure(relay => true)');
    await bench.postbus(load.url);
    const insert: DatabaseRun[] = [];
    const notify: DatabaseRun[] = [];
    const later: DatabaseRun[] = [];
    await bench.rounds(async () => {
      insert.push(await load.run({ kind: 'insert', inFlight: 32, channels: 1000 }));
      notify.push(await load.run({ kind: 'insert + notify', inFlight: 32, channels: 1000 }));
      later.push(await load.run({ kind: 'publish_later', inFlight: 32, channels: 1000 }));
    });
    const latencies: Run[] = [];
    await bench.rounds(async () => {
      latencies.push(await bench.within(idleLatency));
    });
    const what = 'publish_later() with the relay, 32 connections';
    const measured = side('postbus', later.map(rateOf));
    return {
      lines: [
        { what, unit: 'messages/s', floor: side('INSERT', insert.map(rateOf)), measured, goal: { atLeast: 0.8 } },
        {
          what,
          unit: 'messages/s',
          floor: side('INSERT + pg_notify', notify.map(rateOf)),
          measured,
          goal: { atLeast: 1 },
        },
        {
          what: 'commit to callback, idle: p99',
          unit: 'ms',
          measured: side('postbus', latencies),
          goal: { atMost: 50 },
        },
      ],
    };
  },
};

/** Some 20 messages a second to a node in this thread. */
async function idleLatency(bench: Bench): Promise<Run> {
  const url = await bench.database();
  const client = await bench.connect(url);
  const bus = createBus({ connectionString: url });
  bench.onEnd(() => bus.close());
  const latency = new Histogram();
  let committedAt = 0;
  let received: () => void = () => {};
  await bus.subscribe('/idle', () => {
    latency.add(Math.max(0, performance.now() - committedAt) * 1000);
    received();
  });
  await bus.configure({ relay: true });
  const end = performance.now() + bench.pace.seconds * 1000;
  while (performance.now() < end || latency.count === 0) {
    const arrival = new Promise<void>((resolve) => {
      received = resolve;
    });
    await client.query(`select message_bus.publish_later('/idle', '1')`);
    committedAt = performance.now();
    await arrival;
    await delay(Math.random() * 100);
  }
  return { value: latency.quantile(0.99), generatorBusy: 0 };
}
