import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { openBus } from '../helpers/bus.js';
import { publishBusily } from '../helpers/busy-publishers.js';
import { createDatabase } from '../helpers/database.js';
import { type Mode, PollingClient } from '../helpers/polling-client.js';
import { listen } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const channels = ['/a', '/b', '/c'];

interface Race {
  nodes: number;
  clients: number;
  modes: Mode[];
  isRestless?: boolean;
  rounds?: number;
}

/** Clients that start while publishers are at work get each id from their start on, once, in order. */
async function race(t: Test, { nodes, clients, modes, isRestless = false, rounds = 100 }: Race): Promise<void> {
  const { url: database, pool } = await createDatabase(t);
  const buses = Array.from({ length: nodes }, () => openBus(t, database));
  const urls = await Promise.all(buses.map(async (bus) => (await listen(t, { bus, longPollingInterval: 300 })).url));
  const publishing = publishBusily({ pool, buses, channels, rounds });

  const started: { client: PollingClient; from: Record<string, number> }[] = [];
  t.teardown(() => Promise.all(started.map(({ client }) => client.stop())));
  for (let i = 0; i < clients; i++) {
    await delay(Math.random() * 20);
    // An id that was acknowledged a moment ago is not yet heard of by every node.
    const known = (await buses[i % nodes]?.lastIds(channels)) ?? [];
    const from: Record<string, number> = {};
    for (const [j, channel] of channels.entries()) {
      const id = known[j] ?? 0;
      const start = [id, Math.floor(Math.random() * id), 0, -1 - Math.floor(Math.random() * 4)];
      if (Math.random() < 0.8) from[channel] = start[Math.floor(Math.random() * start.length)] ?? 0;
    }
    started.push({ client: new PollingClient({ id: `c${i}`, urls, channels: from, modes, isRestless }), from });
  }

  await publishing;
  const last = Object.fromEntries(
    await Promise.all(channels.map(async (channel) => [channel, await buses[0]?.lastId(channel)])),
  );
  for (const { client, from } of started) {
    for (const channel of Object.keys(from)) {
      await until(() => client.position(channel) === last[channel], `a client has caught up on ${channel}`);
    }
    t.strictSame(client.faults, []);
    for (const [channel, received] of client.received) {
      const start = from[channel] ?? 0;
      const first = start >= 0 && start < last[channel] ? start + 1 : (received[0] ?? last[channel] + 1);
      const expected = Array.from({ length: last[channel] - first + 1 }, (_, i) => first + i);
      t.strictSame(received, expected, `${channel} from ${start}`);
    }
  }
}

t.test('long polls that come and go while publishers commit', (t) =>
  race(t, { nodes: 1, clients: 12, modes: ['long'] }),
);

t.test('streams that begin while publishers commit', (t) => race(t, { nodes: 1, clients: 12, modes: ['stream'] }));

t.test('clients that hang up at any moment, whatever way they poll', (t) =>
  race(t, { nodes: 1, clients: 12, modes: ['short', 'long', 'stream'], isRestless: true }),
);

t.test('clients that hop between two nodes', (t) =>
  race(t, { nodes: 2, clients: 12, modes: ['short', 'long', 'stream'], isRestless: true }),
);
