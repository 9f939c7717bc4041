import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { type Codec, createBus } from '../../src/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

/** Bigints, as { big: "1" }; what is marked as bad fails. Counts its calls. */
function makeCodec() {
  const calls = { encode: 0, decode: 0 };
  const codec: Codec = {
    encode(data) {
      calls.encode++;
      if (data === 'cannot be encoded') throw new RangeError('on purpose');
      return typeof data === 'bigint' ? { big: String(data) } : data;
    },
    decode(json) {
      calls.decode++;
      if (json === 'cannot be decoded') throw new RangeError('on purpose');
      return typeof json === 'object' && json && 'big' in json ? BigInt(String(json.big)) : json;
    },
  };
  return { codec, calls };
}

async function open(t: Test) {
  const { url, query } = await createDatabase(t);
  const { codec, calls } = makeCodec();
  return { url, query, calls, bus: openBus(t, url, { codec }) };
}

t.test('what is published is encoded; callbacks and reads get it decoded, from memory or not', async (t) => {
  const { url, query, bus } = await open(t);
  const received: unknown[] = [];
  for (const channel of ['/a', null]) await bus.subscribe(channel, ({ data }) => received.push(data));
  t.equal(await bus.publish('/a', 7n), 1);
  await until(() => received.length === 2, 'both were called');
  t.strictSame(received, [7n, 7n]);
  const { codec } = makeCodec();
  for (const each of [bus, openBus(t, url, { codec })]) {
    t.match(await each.backlog('/a'), [{ data: 7n, messageId: 1 }]);
    t.match(await each.globalBacklog(), [{ data: 7n, globalId: 1 }]);
    t.match(await each.lastMessage('/a'), { data: 7n });
    t.match(await each.getMessage('/a', 1), { data: 7n });
  }
  t.strictSame(await query(`select data from message_bus.backlog('/a')`), [{ data: { big: '7' } }]);
  t.match(await openBus(t, url).backlog('/a'), [{ data: { big: '7' } }], 'a bus without one');
});

t.test('polls are sent the encoded JSON, without a call of the codec; filters see what was decoded', async (t) => {
  const { bus, calls } = await open(t);
  const { url } = await listen(t, { bus });
  await until(() => bus.isConnected, 'it listens');
  const parked = poll(url, { '/a': 0 });
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 1, 'it waits');
  await bus.publish('/a', 7n);
  const message = [{ global_id: 1, message_id: 1, channel: '/a', data: { big: '7' } }];
  t.strictSame((await parked).messages, message);
  t.strictSame((await poll(url, { '/a': 0 }, { dlp: true })).messages, message);
  t.strictSame(calls, { encode: 1, decode: 0 });

  const shown: unknown[] = [];
  bus.registerClientMessageFilter('/a', ({ data }) => shown.push(data) > 0);
  t.strictSame((await poll(url, { '/a': 0 }, { dlp: true })).messages, message);
  t.strictSame(shown, [7n]);
});

t.test('data that cannot be encoded', async (t) => {
  const { url, bus } = await open(t);
  const refused = { code: 'POSTBUS_BAD_DATA', statusCode: 400 };
  await t.rejects(bus.publish('/a', 'cannot be encoded'), {
    ...refused,
    message: 'data: the codec cannot encode it (on purpose).',
    cause: { name: 'RangeError' },
  });
  await t.rejects(bus.publish('/a', { inside: 1n }), refused, 'what it leaves to JSON');
  const slow = openBus(t, url, { codec: { encode: async (data) => data, decode: (json) => json } });
  await t.rejects(slow.publish('/a', 1), { ...refused, message: /async/ });
  t.equal(await bus.lastId('/a'), 0);
});

t.test('data that cannot be decoded', async (t) => {
  const { query, bus } = await open(t);
  const received: unknown[] = [];
  const told: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  for (const json of ['1', '"cannot be decoded"', '2']) await query(`select message_bus.publish('/a', $1)`, [json]);
  await until(() => received.length === 2, 'the others came');
  t.strictSame(received, [1, 2]);
  for (const channel of ['/a', null]) {
    const options = { lastId: 0, onGap: (gap: unknown) => told.push(gap) };
    await bus.subscribe(channel, ({ data }) => told.push(data), options);
    await until(() => told.length === 3, 'what is missing is told of in its place');
    t.strictSame(told.splice(0), [1, { channel, after: 1, firstId: 3 }, 2]);
  }
  t.equal(bus.log.splice(1).length, 2);
  const error = { code: 'POSTBUS_UNDECODABLE', statusCode: 500, cause: { message: 'on purpose' } };
  t.match(bus.log, [{ level: 'error', message: 'a subscriber failed', details: { channel: '/a', err: error } }]);
  t.equal(bus.log.length, 1);
  await t.rejects(bus.backlog('/a'), { ...error, message: /message 2 of \/a: on purpose/ });
  await t.rejects(bus.globalBacklog(), error);
  await t.rejects(bus.getMessage('/a', 2), error);
  t.match(await bus.lastMessage('/a'), { data: 2 });

  const { url } = await listen(t, { bus });
  bus.registerClientMessageFilter('/a', () => true);
  const { messages } = await poll(url, { '/a': 0 }, { dlp: true });
  t.strictSame(
    messages.filter(({ channel }) => channel === '/a').map(({ data }) => data),
    [1, 2],
    'a filter that cannot be asked hides the message',
  );
});

t.test('what is not a codec', async (t) => {
  // What only a program in JavaScript can get past the types.
  const option: string = 'codec';
  for (const codec of [null, 'json', {}, { encode: String }]) {
    t.throws(() => createBus({ [option]: codec }), { code: 'POSTBUS_BAD_OPTION', message: /^codec: / });
  }
});
