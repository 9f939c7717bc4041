import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../helpers/database.js';
import { form, send } from '../helpers/http.js';
import { listen, poll, stream, type WireMessage } from '../helpers/server.js';
import { until } from '../helpers/until.js';

// What goes wrong in the Ruby original, each by the name of what it did.

async function openNode(t: Test, database: TestDatabase) {
  const bus = openBus(t, database.url);
  const { url } = await listen(t, { bus });
  await until(() => bus.isConnected, 'the bus listens');
  return { bus, url };
}

async function open(t: Test) {
  const database = await createDatabase(t);
  return { database, ...(await openNode(t, database)) };
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
const ids = (messages: readonly WireMessage[]) => messages.map((message) => message.message_id);

/** Several connections that each publish one by one, by plain SQL, with pauses. */
async function publishConcurrently(database: TestDatabase, channels: string[], publishers: number, each: number) {
  await Promise.all(
    numbers(publishers).map(async (publisher) => {
      const client = await database.pool.connect();
      for (let i = 0; i < each; i++) {
        const channel = channels[(publisher + i) % channels.length];
        await client.query('select message_bus.publish($1, $2)', [channel, JSON.stringify({ publisher, i })]);
        if (Math.random() < 0.2) await delay(Math.random() * 5);
      }
      client.release();
    }),
  );
}

/** Reads a stream until it has so many messages. */
async function readStream(url: string, channels: Record<string, number>, count: number, client = 'streaming') {
  const received: WireMessage[] = [];
  for await (const frame of stream(url, channels, { client })) {
    received.push(...frame);
    if (received.length >= count) break;
  }
  return received;
}

t.test('long polls that come back while others publish lose messages, and get some twice', async (t) => {
  const database = await createDatabase(t);
  const nodes = [await openNode(t, database), await openNode(t, database)];
  const [publishers, each] = [6, 120];
  const pollers = numbers(8).map(async (number) => {
    const received: number[] = [];
    while (received.length < publishers * each) {
      // As behind a load balancer: now this node, now that one.
      const { url } = nodes[Math.floor(Math.random() * 2)] ?? { url: '' };
      const { messages } = await poll(url, { '/a': received.at(-1) ?? 0 }, { client: `poller${number}` });
      received.push(...ids(messages));
      if (Math.random() < 0.3) await delay(Math.random() * 10);
    }
    return received;
  });
  await publishConcurrently(database, ['/a'], publishers, each);
  for (const received of await Promise.all(pollers)) t.strictSame(received, numbers(publishers * each));
});

t.test('ids run backwards on a stream under concurrent publishers', async (t) => {
  const { database, bus, url } = await open(t);
  const channels = ['/a', '/b'];
  const received = numbers(3).map((number) => readStream(url, { '/a': 0, '/b': 0 }, 800, `stream${number}`));
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 6, 'the streams wait');
  await publishConcurrently(database, channels, 8, 100);
  for (const messages of await Promise.all(received)) {
    for (const channel of channels) {
      const own = messages.filter((message) => message.channel === channel);
      t.strictSame(ids(own), numbers(400));
      const globalIds = own.map((message) => message.global_id);
      t.strictSame(
        globalIds,
        [...globalIds].sort((a, b) => a - b),
      );
    }
  }
});

t.test('publishers deadlock where the backlog is trimmed', async (t) => {
  const { database, bus } = await open(t);
  await bus.configure({ clearEvery: 1, maxBacklogSize: 5, maxGlobalBacklogSize: 7 });
  const channels = ['/a', '/b', '/c'];
  const [publishers, each] = [8, 100];
  const work = [publishConcurrently(database, channels, publishers, each)];
  for (let i = 0; i < 300; i++) work.push(bus.publish(channels[i % 3] ?? '', i).then(() => {}));
  await t.resolves(Promise.all(work));
  const lastIds = await bus.lastIds(channels);
  t.equal(
    lastIds.reduce((a, b) => a + b),
    publishers * each + 300,
  );
  t.equal((await bus.globalBacklog()).length, 7);
});

t.test('a payload over 8000 bytes raises, but is stored', async (t) => {
  const { database, bus, url } = await open(t);
  const data = 'x'.repeat(8_001);
  const received: unknown[] = [];
  await bus.subscribe('/a', (message) => received.push(message.data));
  const polled = poll(url, { '/a': 0 });
  const streamed = readStream(url, { '/a': 0 }, 2);
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 3, 'all wait');

  const [row] = await database.query(`select message_bus.publish('/a', to_jsonb($1::text)) as id`, [data]);
  t.strictSame(row, { id: '1' }, 'acknowledged in SQL');
  t.strictSame(
    (await polled).messages.map((message) => message.data),
    [data],
  );
  t.equal(await bus.publish('/a', data), 2, 'acknowledged in Node');
  t.strictSame(
    (await streamed).map((message) => message.data),
    [data, data],
  );
  await until(() => received.length === 2, 'the subscriber has both');
  t.strictSame(received, [data, data]);
});

t.test('messages published while the listener reconnects are lost', async (t) => {
  const { database, bus, url } = await open(t);
  await bus.publish('/a', 'before');
  const received: unknown[] = [];
  await bus.subscribe('/a', (message) => received.push(message.data), { lastId: 0 });
  const polled = poll(url, { '/a': 1 });
  const streamed = readStream(url, { '/a': 1 }, 3);
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 3 && received.length === 1, 'all wait');

  // Connections that are there go on, no other comes about: the listener stays away until it is let in again.
  const admin = new pg.Client(process.env.POSTBUS_TEST_URL);
  await admin.connect();
  t.teardown(() => admin.end());
  const publisher = await database.pool.connect();
  await admin.query(`alter database ${database.name} allow_connections false`);
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name = 'postbus listener'`,
    [database.name],
  );
  await until(() => !bus.isConnected, 'the listener is away');
  for (const data of ['one', 'two'])
    await publisher.query('select message_bus.publish($1, to_jsonb($2::text))', ['/a', data]);
  publisher.release();
  t.strictSame(received, ['before']);
  await admin.query(`alter database ${database.name} allow_connections true`);

  t.strictSame(
    (await polled).messages.map((message) => message.data),
    ['one', 'two'],
  );
  await bus.publish('/a', 'after');
  t.strictSame(
    (await streamed).map((message) => message.data),
    ['one', 'two', 'after'],
  );
  await until(() => received.length === 4, 'the subscriber has them');
  t.strictSame(received, ['before', 'one', 'two', 'after']);
});

t.test('2100 messages on one channel erase a quiet one', async (t) => {
  const { database, bus, url } = await open(t);
  await bus.publish('/quiet', 'still here');
  await database.query(`select message_bus.publish('/busy', to_jsonb(i)) from generate_series(1, 1050) i`);
  await Promise.all(numbers(1050).map((i) => bus.publish('/busy', i)));
  t.equal(await bus.lastId('/busy'), 2100);
  t.match((await poll(url, { '/quiet': 0 }, { dlp: true })).messages, [{ message_id: 1, data: 'still here' }]);
});

t.test('one slow reader stalls the process', async (t) => {
  const { bus, url } = await open(t);
  const { hostname, port } = new URL(url);
  // Asks for a stream and never reads it.
  const slow = connect(Number(port), hostname);
  t.teardown(() => slow.destroy());
  slow.on('error', () => {});
  slow.pause();
  slow.write(
    'POST /message-bus/slow/poll HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{"/a":0}',
  );
  const frames = stream(url, { '/a': 0 });
  await frames.next();
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 2, 'both wait');

  const data = 'x'.repeat(500_000);
  let published = 0;
  while (internalsOf(bus).dispatcher.counts.cursors === 2 && published < 100) {
    const id = await bus.publish('/a', data);
    published++;
    // The other one has it before the next one is published.
    const { value } = await frames.next();
    t.match(value, [{ message_id: id }]);
  }
  t.equal(
    internalsOf(bus).dispatcher.counts.cursors,
    1,
    `it is cut off when the system takes no more (${published} messages)`,
  );
  await bus.publish('/a', 'after');
  t.match((await frames.next()).value, [{ data: 'after' }]);
  await frames.return();
});

t.test('abc as an id replays everything', async (t) => {
  const { bus, url } = await open(t);
  await bus.publish('/a', 'all of it');
  for (const [headers, body] of [
    [form, '%2Fa=abc'],
    [{ 'content-type': 'application/json' }, '{"/a":"abc"}'],
  ] as const) {
    const { status, text } = await send(`${url}/message-bus/x/poll?dlp=t`, { headers, body });
    t.equal(status, 200);
    t.match(JSON.parse(text), [{ channel: '/__status', data: { '/a': 1 } }], 'it counts as -1');
    t.notMatch(text, 'all of it');
  }
});

t.test('a body of 20 MB is accepted', async (t) => {
  const { url } = await open(t);
  const body = `%2Fa=0&x=${'x'.repeat(20_000_000)}`;
  const { status } = await send(`${url}/message-bus/x/poll?dlp=t`, { headers: form, body });
  t.equal(status, 413);
});

t.test('destroy in one process deafens all the others', async (t) => {
  const database = await createDatabase(t);
  const [staying, leaving] = [await openNode(t, database), await openNode(t, database)];
  const received: unknown[] = [];
  await staying.bus.subscribe('/a', (message) => received.push(message.data));
  await leaving.bus.subscribe('/a', () => {});
  const polled = poll(staying.url, { '/a': 0 });
  await until(() => internalsOf(staying.bus).dispatcher.counts.cursors === 2, 'the poll waits');

  await leaving.bus.close();
  await database.query(`select message_bus.publish('/a', '"one"')`);
  t.match((await polled).messages, [{ data: 'one' }]);
  await staying.bus.publish('/a', 'two');
  await until(() => received.length === 2, 'the subscriber has both');
  t.strictSame(received, ['one', 'two']);
  t.ok(staying.bus.isConnected);
});
