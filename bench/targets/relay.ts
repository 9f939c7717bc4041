import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { createBus } from '../../dist/index.js';
import type { Bench, Target } from '../bench.js';
import { Histogram } from '../generator/histogram.js';
import { type Run, side } from '../measurement.js';
import { type DatabaseRun, rateOf, StatementLoad } from './statement-load.js';

export const relay: Target = {
  number: 16,
  name: 'relay',
  title: 'publish_later() with the relay',
  how: '32 connections call message_bus.publish_later(), each in a transaction of its own, on 1000 channels, while a node relays on the same machine; against as many that insert a row into a plain table, alone and with pg_notify(). When they stop, how long it takes until the node has published all of it: how far it was behind. On a database with nothing else to do, how long it takes from a commit to the callback of a node; and, when the node that relays is killed with SIGKILL, until another one delivers what is put down from then on. What it costs: [design.md](design.md#where-the-time-goes).',
  async measure(bench) {
    const load = await StatementLoad.open(bench);
    const client = await bench.connect(load.url);
    await client.query('select message_bus.configure(relay => true)');
    await bench.postbus(load.url);
    const insert: DatabaseRun[] = [];
    const notify: DatabaseRun[] = [];
    const later: DatabaseRun[] = [];
    const behind: Run[] = [];
    await bench.rounds(async () => {
      insert.push(await load.run({ kind: 'insert', inFlight: 32, channels: 1000 }));
      notify.push(await load.run({ kind: 'insert + notify', inFlight: 32, channels: 1000 }));
      later.push(await load.run({ kind: 'publish_later', inFlight: 32, channels: 1000 }));
      behind.push(await timeUntilPublished(client));
    });
    const latencies: Run[] = [];
    const takeovers: Run[] = [];
    await bench.rounds(async () => {
      latencies.push(await bench.within(idleLatency));
      takeovers.push(await bench.within(takeover));
    });
    const profiles = await load.profile({ kind: 'publish_later', inFlight: 32, channels: 1000 });
    const what = 'publish_later() with the relay, 32 connections';
    const measured = side('postbus', later.map(rateOf));
    const floor = side('INSERT', insert.map(rateOf));
    const notifyFloor = side('INSERT + pg_notify', notify.map(rateOf));
    return {
      lines: [
        { what, unit: 'messages/s', floor, measured, goal: { atLeast: 0.8 } },
        { what, unit: 'messages/s', floor: notifyFloor, measured, goal: { atLeast: 1 } },
        { what: 'the relay has published all, after the last commit', unit: 'ms', measured: side('postbus', behind) },
        {
          what: 'commit to callback, idle: p99',
          unit: 'ms',
          measured: side('postbus', latencies),
          goal: { atMost: 50 },
        },
        {
          what: 'relaying node killed, until another one delivers',
          unit: 'ms',
          measured: side('postbus', takeovers),
          goal: { atMost: 2000 },
        },
      ],
      profiles,
    };
  },
};

/** So that the next run has the machine to itself, too. */
async function timeUntilPublished(client: pg.Client): Promise<Run> {
  const begun = performance.now();
  for (;;) {
    const { rows } = await client.query<{ waiting: string }>('select waiting from message_bus.relay_state()');
    if (rows[0]?.waiting === '0') return { value: performance.now() - begun, generatorBusy: 0 };
    await delay(5);
  }
}

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

/** One node in a process of its own relays, the other one is in this thread. */
async function takeover(bench: Bench): Promise<Run> {
  const url = await bench.database();
  const client = await bench.connect(url);
  await client.query('select message_bus.configure(relay => true)');
  const node = await bench.postbus(url);
  for (let relaying = ''; !relaying.includes(`/${node.pid}/`); await delay(5)) {
    const { rows } = await client.query<{ node: string | null }>('select node from message_bus.relay_state()');
    relaying = rows[0]?.node ?? '';
  }
  const bus = createBus({ connectionString: url });
  bench.onEnd(() => bus.close());
  let resolveArrival: () => void = () => {};
  const arrival = new Promise<void>((resolve) => {
    resolveArrival = resolve;
  });
  await bus.subscribe('/takeover', () => resolveArrival());
  await node.kill();
  const killed = performance.now();
  await client.query(`select message_bus.publish_later('/takeover', '1')`);
  await arrival;
  return { value: performance.now() - killed, generatorBusy: 0 };
}
