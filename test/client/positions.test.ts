import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { ClientSettings } from '../../src/client/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { RecordedClient, range } from '../helpers/recorded-client.js';
import { listen } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const transports: Record<string, Partial<ClientSettings>> = {
  streaming: {},
  'long polling': { enableChunkedEncoding: false },
  polling: { enableLongPolling: false, backgroundCallbackInterval: 20 },
};

async function serve(t: Test) {
  const { url: database, query } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, { bus });
  const publish = async (channel: string, count: number) => {
    for (let i = 0; i < count; i++) await bus.publish(channel, i);
  };
  return { bus, query, url, publish };
}

for (const [transport, settings] of Object.entries(transports)) {
  t.test(`${transport}: each callback of a channel has a position of its own`, async (t) => {
    const { publish, url } = await serve(t);
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
    const { publish, url } = await serve(t);
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
    const { publish, url } = await serve(t);
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
  const { publish, url } = await serve(t);
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
  const { publish, url } = await serve(t);
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
  const { publish, url } = await serve(t);
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
  const [before, restored] = [await serve(t), await serve(t)];
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

t.test('a pause holds messages back, each once', async (t) => {
  const { publish, url } = await serve(t);
  const recorded = new RecordedClient(t, url, { enableChunkedEncoding: false });
  const { client } = recorded;
  recorded.subscribe('/a', 0, '/a', (id) => {
    // In the middle of an answer.
    if (id === 2) client.pause();
  });
  recorded.subscribe('/a', 0, 'leaves');
  await publish('/a', 3);
  await until(() => client.status() === 'paused', 'it pauses');
  // Answers go on to come in.
  await publish('/a', 2);
  await recorded.untilAt('/a', 5);
  t.strictSame(recorded.ids('/a'), [1, 2]);
  client.unsubscribe('/a', client.callbacks[1]?.func);
  const left = recorded.ids('leaves').length;
  client.resume();
  t.equal(client.status(), 'started');
  t.strictSame(recorded.ids('/a'), [1, 2, 3, 4, 5], 'at once');
  t.equal(recorded.ids('leaves').length, left, 'nothing to those who left');
  await publish('/a', 1);
  await recorded.untilAt('/a', 6);
  t.strictSame(recorded.ids('/a'), range(1, 6));
});

t.test('a long pause does not fill the memory', async (t) => {
  const { query, url } = await serve(t);
  const recorded = new RecordedClient(t, url, { enableChunkedEncoding: false });
  const { client } = recorded;
  recorded.subscribe('/a', 0);
  client.pause();
  t.capture(console, 'log', () => {});
  const publish = () => query(`select message_bus.publish('/a', to_jsonb(n)) from generate_series(1, 600) n`);
  await publish();
  await recorded.untilAt('/a', 600);
  await publish();
  await until(() => client.diagnostics().held >= 1_000, 'it holds enough');
  const polls = recorded.polls.length;
  await publish();
  await delay(100);
  t.equal(recorded.polls.length, polls, 'no more polls');
  client.resume();
  await recorded.untilAt('/a', 1_800);
  t.strictSame(recorded.ids('/a').slice(0, 1_200), range(1, 1_200), 'what was held');
});

t.test('start, stop, status', async (t) => {
  const { publish, url } = await serve(t);
  const recorded = new RecordedClient(t, url);
  const { client } = recorded;
  t.equal(client.status(), 'stopped');
  recorded.subscribe('/a', -1);
  t.equal(client.status(), 'started', 'subscribing starts');
  await recorded.untilAt('/a', 0);
  client.pause();
  t.equal(client.status(), 'paused');
  client.resume();
  client.stop();
  t.equal(client.status(), 'stopped');
  recorded.subscribe('/b', 0);
  t.equal(client.status(), 'stopped', 'but not after stop()');
  await publish('/a', 2);
  await publish('/b', 1);
  t.strictSame(recorded.ids('/a'), []);
  client.start();
  client.start();
  await recorded.untilAt('/a', 2);
  await recorded.untilAt('/b', 1);
  t.strictSame([recorded.ids('/a'), recorded.ids('/b')], [[1, 2], [1]], 'nothing is missed');

  // In the middle of an answer: what is left of it is for later.
  const stopping = new RecordedClient(t, url);
  stopping.subscribe('/a', 0, '/a', (id) => {
    if (id === 1) stopping.client.stop();
  });
  await until(() => stopping.ids('/a').length > 0, 'it stops itself');
  await publish('/a', 1);
  t.strictSame(stopping.ids('/a'), [1]);
  stopping.client.start();
  await stopping.untilAt('/a', 3);
  t.strictSame(stopping.ids('/a'), [1, 2, 3]);
});

t.test('unsubscribing', async (t) => {
  const { publish, url } = await serve(t);
  const recorded = new RecordedClient(t, url);
  const { client } = recorded;
  const funcs = ['/room/1', '/room/2', '/rooms', '/other'].map((channel) => recorded.subscribe(channel, 0));
  t.equal(client.unsubscribe('/nowhere'), false);
  t.equal(client.unsubscribe('/room/*', funcs[0]), true);
  t.strictSame(recorded.positions('/room/1'), []);
  t.equal(client.unsubscribe('/room*'), true);
  t.strictSame(
    client.callbacks.map(({ channel }) => channel),
    ['/other'],
  );
  await publish('/other', 1);
  await recorded.untilAt('/other', 1);
  t.equal(client.unsubscribe('*'), true);
  const polls = recorded.polls.length;
  await delay(50);
  t.equal(recorded.polls.length, polls, 'with nothing to ask for, it does not');
  recorded.subscribe('/other', 0);
  await recorded.untilAt('/other', 1);
});

t.test('arguments that make no sense are refused', async (t) => {
  const { client } = new RecordedClient(t, 'http://127.0.0.1:1');
  client.stop();
  const refuse = (...args: unknown[]) =>
    t.throws(() => Reflect.apply(client.subscribe, client, args), { name: 'TypeError', message: /^MessageBus: / });
  for (const channel of [undefined, null, 7, '', 'chat', '/__status', '/a\n', `/${'x'.repeat(255)}`]) {
    refuse(channel, () => {});
  }
  refuse('/a');
  refuse('/a', 'callback');
  for (const lastId of ['5', 1.5, Number.NaN, {}, true]) refuse('/a', () => {}, lastId);
  t.strictSame(client.callbacks, []);
});
