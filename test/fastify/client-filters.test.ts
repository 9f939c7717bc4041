import { setImmediate as nextTurn } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import type { Message } from '../../src/index.js';
import { ClientFilters } from '../../src/messages/client-filters.js';
import { Batch } from '../../src/messages/frame.js';
import { StoredMessage } from '../../src/messages/message.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll, stream, type WireMessage } from '../helpers/server.js';
import { until } from '../helpers/until.js';

async function open(t: Test) {
  const { url: database } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, { bus, userIdLookup: ({ headers }) => headers['x-user']?.toString() });
  await until(() => bus.isConnected, 'the bus listens');
  return { bus, url };
}

const idsOf = (messages: WireMessage[]) => messages.map((message) => message.message_id);
const status = (channel: string, id: number) => ({
  global_id: -1,
  message_id: -1,
  channel: '/__status',
  data: { [channel]: id },
});

t.test('filtered messages are hidden on every path, and clients moved on past them', async (t) => {
  const { bus, url } = await open(t);
  const subscribed: unknown[] = [];
  await bus.subscribe('/test/5', ({ data }) => subscribed.push(data));
  bus.registerClientMessageFilter('/test', ({ data }) => data !== 'hidden');
  bus.registerClientMessageFilter('/test/5', ({ data }) => data !== 'hidden from 5');
  bus.registerClientMessageFilter('/elsewhere', () => false);
  const sent = ['shown', 'hidden', 'hidden from 5'];
  for (const channel of ['/test/5', '/test/6', '/other']) for (const data of sent) await bus.publish(channel, data);

  for (const options of [{ dlp: true }, {}]) {
    const ask = async (channel: string, from: number) => (await poll(url, { [channel]: from }, options)).messages;
    t.strictSame(idsOf(await ask('/test/5', 0)), [1, -1]);
    t.strictSame((await ask('/test/5', 0)).at(-1), status('/test/5', 3));
    t.strictSame(idsOf(await ask('/test/6', 0)), [1, 3, -1]);
    t.strictSame(idsOf(await ask('/other', 0)), [1, 2, 3]);
    t.strictSame(await ask('/test/5', 1), [status('/test/5', 3)]);
    t.strictSame(await ask('/test/5', -3), [status('/test/5', 3)], 'the last two');
  }

  const frames = stream(url, { '/test/5': 0 });
  t.strictSame(idsOf((await frames.next()).value ?? []), [1, -1], 'at the start of a stream');
  const parked = poll(url, { '/test/5': 3 }, { client: 'parked' });
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 3, 'both wait');
  for (const data of [...sent].reverse()) await bus.publish('/test/5', data);
  t.match((await parked).messages, [{ message_id: 6, data: 'shown' }], 'a poll that waits is not woken by the others');
  t.strictSame(idsOf((await frames.next()).value ?? []), [6], 'nor a stream');
  await frames.return();

  t.strictSame(subscribed, [...sent, ...[...sent].reverse()], 'subscribers on the server see everything');
  t.equal((await bus.backlog('/test/5')).length, 6, 'and so do backlogs');
});

t.test('a filter and the audience must both admit a client', async (t) => {
  const { bus, url } = await open(t);
  bus.registerClientMessageFilter('/a', ({ data, userIds }) => data !== 'hidden' && userIds?.at(0) !== 'nobody');
  await bus.publish('/a', 'shown', { userIds: [1] });
  await bus.publish('/a', 'hidden', { userIds: [1] });
  await bus.publish('/a', 'hidden');
  await bus.publish('/a', 'shown', { userIds: ['nobody'] });
  await bus.publish('/a', 'shown');
  const ask = async (user: string) =>
    idsOf((await poll(url, { '/a': 0 }, { dlp: true, headers: { 'x-user': user } })).messages);
  t.strictSame(await ask('1'), [1, 5, -1]);
  t.strictSame(await ask('2'), [5, -1]);
  t.strictSame(await ask('nobody'), [5, -1]);
});

t.test('a filter that fails hides the message and is reported, once a minute', async (t) => {
  const { bus, url } = await open(t);
  const failing: Record<string, () => unknown> = {
    '/throws': () => {
      throw new Error('on purpose');
    },
    '/promises': async () => true,
    '/rejects': async () => {
      throw new Error('later');
    },
    '/forgets': () => {},
    '/counts': () => 1,
    '/text': () => 'true',
  };
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on('unhandledRejection', note);
  t.teardown(() => process.off('unhandledRejection', note));
  for (const [prefix, filter] of Object.entries(failing)) {
    // What only a program in JavaScript can get past the types.
    Reflect.apply(bus.registerClientMessageFilter, bus, [prefix, filter]);
    for (const data of [1, 2]) await bus.publish(prefix, data);
    for (let i = 0; i < 2; i++) {
      t.strictSame((await poll(url, { [prefix]: 0 }, { dlp: true })).messages, [status(prefix, 2)], prefix);
    }
  }
  const message = 'a client message filter failed; it hid the message';
  t.match(
    bus.log,
    Object.keys(failing).map((prefix) => ({ level: 'error', message, details: { prefix, count: 1, err: Error } })),
  );
  t.match(bus.log[0]?.details, { err: { message: 'on purpose' } });
  t.equal(bus.log.length, 6);
  t.strictSame(unhandled, []);
});

t.test('what a filter says may change, and is asked anew', async (t) => {
  const { bus, url } = await open(t);
  let isOpen = false;
  bus.registerClientMessageFilter('/', () => isOpen);
  await bus.publish('/a', 1);
  const ask = async () => idsOf((await poll(url, { '/a': 0 }, { dlp: true })).messages);
  t.strictSame(await ask(), [-1]);
  isOpen = true;
  t.strictSame(await ask(), [1]);
  const parked = poll(url, { '/a': 1 });
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 1, 'it waits');
  bus.registerClientMessageFilter('/a', ({ data }) => data !== 2);
  await bus.publish('/a', 2);
  await bus.publish('/a', 3);
  t.strictSame(idsOf((await parked).messages), [3], 'a filter counts for those who wait already');
});

t.test('a message is not decided on for each client, and not changed by a filter', async (t) => {
  const { bus, url } = await open(t);
  let calls = 0;
  bus.registerClientMessageFilter('/a', (message: Message) => {
    calls++;
    Object.assign(message, { channel: '/spoilt', data: null });
    return true;
  });
  bus.registerClientMessageFilter('/a', ({ channel, data }) => channel === '/a' && data === 'as it was');
  const polls = Array.from({ length: 50 }, (_, i) => poll(url, { '/a': 0 }, { client: `client ${i}` }));
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 50, 'all wait');
  await bus.publish('/a', 'as it was');
  for (const { messages } of await Promise.all(polls)) t.match(messages, [{ channel: '/a', data: 'as it was' }]);
  t.ok(calls <= 5, `${calls} calls for 50 clients`);
});

t.test('the same batch, handed out again later, is decided on again', async (t) => {
  const filters = new ClientFilters(console);
  let isOpen = true;
  filters.register('/a', () => isOpen);
  const batch = new Batch([new StoredMessage(1, 1, '', '/a', null, '1', 0)]);
  t.equal(filters.apply(batch), batch);
  await nextTurn();
  isOpen = false;
  t.strictSame(filters.apply(batch).messages, []);
});

t.test('what cannot be registered', async (t) => {
  const { bus } = await open(t);
  for (const prefix of ['', '__a', '/\n']) {
    t.throws(() => bus.registerClientMessageFilter(prefix, () => true), {
      code: 'POSTBUS_BAD_CHANNEL',
      message: /^prefix: /,
    });
  }
  t.throws(() => Reflect.apply(bus.registerClientMessageFilter, bus, ['/a', 'true']), {
    code: 'POSTBUS_BAD_OPTION',
    message: /^filter: /,
  });
  await bus.close();
  t.throws(() => bus.registerClientMessageFilter('/a', () => true), { code: 'POSTBUS_CLOSED' });
});
