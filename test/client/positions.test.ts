import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import type { ClientSettings } from '../../src/client/index.js';
import { RecordedClient, range } from '../helpers/recorded-client.js';
import { serveBus } from '../helpers/served-bus.js';
import { until } from '../helpers/until.js';

const transports: Record<string, Partial<ClientSettings>> = {
  streaming: {},
  'long polling': { enableChunkedEncoding: false },
  polling: { enableLongPolling: false, backgroundCallbackInterval: 20 },
};

for (const [transport, settings] of Object.entries(transports)) {
  t.test(`${transport}: each callback of a channel has a position of its own`, async (t) => {
    const { publish, url } = await serveBus(t);
    await publish('/a', 5);
    const all = new RecordedClient(t, url, settings);
    all.subscribe('/a', 0, 'from the start');
    await all.untilAt('/a', 5);
    // One poll names a channel once, and these want five different answers.
    all.subscribe('/a', 3, 'after 3');
    all.subscribe('/a', -1, 'from now on');
    all.subscribe('/a', -3, 'the last two');
    all.subscribe('/a', 0, 'from the start, later');
    all.subscribe('/a', 1_000, 'beyond the end');
    await all.untilAt('/a', 5);
    await publish('/a', 3);
    await all.untilAt('/a', 8);
    t.strictSame(Object.fromEntries(all.received), {
      'from the start': range(1, 8),
      'after 3': range(4, 8),
      'from now on': range(6, 8),
      'the last two': range(4, 8),
      'from the start, later': range(1, 8),
      'beyond the end': range(6, 8),
    });
  });

  t.test(`${transport}: the last ones of a channel that has none yet`, async (t) => {
    const { publish, url } = await serveBus(t);
    const recorded = new RecordedClient(t, url, settings);
    recorded.subscribe('/a', -2);
    await recorded.untilAt('/a', 0);
    recorded.client.stop();
    await publish('/a', 3);
    recorded.client.start();
    await recorded.untilAt('/a', 3);
    t.strictSame(recorded.ids('/a'), [1, 2, 3], 'all that came since, not the last one again');
  });

  t.test(`${transport}: callbacks come and go while messages are published`, async (t) => {
    const { publish, url } = await serveBus(t);
    const recorded = new RecordedClient(t, url, settings);
    const channels = ['/a', '/b'];
    const total = 120;
    const publishing = Promise.all(
      channels.map(async (channel) => {
        for (let i = 0; i < total; i++) {
          await publish(channel, 1);
          await delay(Math.random() * 8);
        }
      }),
    );
    // These stay; others come and go beside them.
    for (const channel of channels) recorded.subscribe(channel, 0, `${channel} always`);
    const wanted = new Map(channels.map((channel) => [`${channel} always`, 1]));
    for (let round = 1; round <= 25; round++) {
      const channel = channels[round % 2] ?? '';
      const name = `${channel} ${round}`;
      const now = Math.max(0, recorded.ids(`${channel} always`).at(-1) ?? 0);
      const lastId = Math.floor(Math.random() * (now + 1));
      const func = recorded.subscribe(channel, lastId, name);
      wanted.set(name, lastId + 1);
      await delay(Math.random() * 30);
      if (round % 3 === 0) recorded.client.unsubscribe(channel, func);
    }
    await publishing;
    for (const channel of channels) await recorded.untilAt(channel, total);

    for (const [name, first] of wanted) {
      const ids = recorded.ids(name);
      t.strictSame(ids, range(first, first + ids.length - 1), `${name} misses nothing, and gets nothing twice`);
      const isGone = Number(name.split(' ')[1]) % 3 === 0;
      if (!isGone) t.equal(ids.at(-1), total, `${name} has all`);
    }
  });
}

t.test('messages behind a status are not for callbacks that are further back', async (t) => {
  const { publish, url } = await serveBus(t);
  await publish('/a', 7);
  const message = { global_id: 6, message_id: 6, channel: '/a', data: 6 };
  const status = { global_id: -1, message_id: -1, channel: '/__status', data: { '/a': 5, '/unknown': 1 } };
  // As another server might answer, which had five then.
  const answers = [Response.json([status, message, { ...message, channel: '/unknown' }])];
  const recorded = new RecordedClient(t, url, { fetch: async (...args) => answers.shift() ?? fetch(...args) });
  recorded.subscribe('/a', 0, 'from the start');
  recorded.subscribe('/a', -1, 'from now on');
  await recorded.untilAt('/a', 7);
  t.strictSame(Object.fromEntries(recorded.received), { 'from the start': range(1, 7), 'from now on': [6, 7] });
});

t.test('a callback may subscribe and unsubscribe in the middle of an answer', async (t) => {
  const { publish, url } = await serveBus(t);
  await publish('/a', 5);
  await publish('/b', 5);
  const recorded = new RecordedClient(t, url);
  const { client } = recorded;
  recorded.subscribe('/a', 0, 'first', (id) => {
    if (id !== 2) return;
    recorded.subscribe('/a', 0, 'again');
    recorded.subscribe('/b', 3);
    client.unsubscribe('/a', leaving);
  });
  const leaving = recorded.subscribe('/a', 0, 'leaving');
  await until(() => recorded.ids('/b').length === 2, 'the other channel has come');
  await recorded.untilAt('/a', 5);
  t.strictSame(Object.fromEntries(recorded.received), {
    first: range(1, 5),
    again: range(1, 5),
    leaving: [1],
    '/b': [4, 5],
  });
});

t.test('a callback that fails is reported, and harms nobody', async (t) => {
  const { publish, url } = await serveBus(t);
  await publish('/a', 3);
  const complaints: unknown[][] = [];
  t.capture(console, 'error', (...args: unknown[]) => complaints.push(args));
  const recorded = new RecordedClient(t, url);
  const [thrown, rejected] = [new Error('thrown'), new Error('rejected')];
  recorded.subscribe('/a', 0, 'throws', () => {
    throw thrown;
  });
  recorded.subscribe('/a', 0, 'rejects', () => Promise.reject(rejected));
  recorded.subscribe('/a', 0, 'works');
  await recorded.untilAt('/a', 3);
  await publish('/a', 1);
  await recorded.untilAt('/a', 4);
  for (const name of ['throws', 'rejects', 'works']) t.strictSame(recorded.ids(name), [1, 2, 3, 4], name);
  await until(() => complaints.length === 8, 'all are reported');
  for (const error of [thrown, rejected]) {
    t.strictSame(
      complaints.filter((args) => args[1] === error),
      Array(4).fill(['MessageBus: a callback of /a failed.', error]),
    );
  }
});

t.test('ids that move back take the client with them', async (t) => {
  const [before, restored] = [await serveBus(t), await serveBus(t)];
  await before.publish('/a', 9);
  await restored.publish('/a', 2);
  const recorded = new RecordedClient(t, before.url);
  recorded.subscribe('/a', 8, 'ahead');
  await recorded.untilAt('/a', 9);

  // As after a restart with a database of yesterday.
  recorded.client.stop();
  recorded.client.baseUrl = restored.url;
  recorded.subscribe('/a', 0, 'from the start');
  recorded.client.start();
  await recorded.untilAt('/a', 2);
  await restored.publish('/a', 1);
  await recorded.untilAt('/a', 3);
  t.strictSame(Object.fromEntries(recorded.received), { ahead: [9, 3], 'from the start': [1, 2, 3] });
});
