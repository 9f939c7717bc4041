import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import type { PostbusOptions } from '../../src/fastify/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { json, send } from '../helpers/http.js';
import { listen, poll, stream } from '../helpers/server.js';
import { until } from '../helpers/until.js';

async function open(t: Test, options: Partial<PostbusOptions> = {}) {
  const { url: connectionString } = await createDatabase(t);
  const pool = new pg.Pool({ connectionString });
  // Dropping the database may be faster than its connections end.
  pool.on('error', () => {});
  const bus = openBus(t, connectionString, { pool });
  t.teardown(() => pool.end());
  const { url } = await listen(t, { bus, ...options });
  await until(() => bus.isConnected, 'the bus listens');
  const parked = (count: number) =>
    until(() => internalsOf(bus).dispatcher.counts.cursors === count, `${count} polls wait`);
  const text = async (channels: object, headers = {}, client = 'x') =>
    (
      await send(`${url}/message-bus/${client}/poll`, {
        headers: { ...json, ...headers },
        body: JSON.stringify(channels),
      })
    ).text;
  return { bus, url, pool, parked, text };
}

const status = (data: Record<string, number>) => ({ global_id: -1, message_id: -1, channel: '/__status', data });

t.test('a long poll waits for a message', async (t) => {
  const { bus, url, parked } = await open(t);
  const answer = poll(url, { '/a': 0, '/b': 0 });
  await parked(2);
  await bus.publish('/b', 'x');
  const { status, messages, headers } = await answer;
  t.equal(status, 200);
  t.strictSame(messages, [{ global_id: 1, message_id: 1, channel: '/b', data: 'x' }]);
  t.equal(headers.get('content-type'), 'application/json; charset=utf-8');
  t.equal(internalsOf(bus).dispatcher.counts.cursors, 0);
});

t.test('a long poll that is woken is answered with all that its channels got in one transaction', async (t) => {
  const { bus, url, parked, pool } = await open(t);
  const answer = poll(url, { '/a': 0, '/b': 0 });
  await parked(2);
  await pool.query(`begin; select message_bus.publish('/a', '1'); select message_bus.publish('/b', '2'); commit`);
  t.strictSame(
    (await answer).messages.map((message) => message.data),
    [1, 2],
  );
  t.equal(await bus.lastId('/a'), 1);
});

t.test('a long poll without news ends with [] at the interval', async (t) => {
  const { text, bus } = await open(t, { longPollingInterval: 100 });
  const start = performance.now();
  t.equal(await text({ '/a': 0 }, { 'dont-chunk': 'true' }), '[]');
  t.ok(performance.now() - start > 90, 'not before');
  t.equal(internalsOf(bus).dispatcher.counts.cursors, 0);
});

t.test('a long poll with news, or at -1, is answered at once', async (t) => {
  const { bus, url } = await open(t);
  await bus.publish('/a', 1);
  t.equal((await poll(url, { '/a': 0, '/b': 0 })).messages.length, 1);
  t.strictSame((await poll(url, { '/a': -1 })).messages, [status({ '/a': 1 })]);
  t.strictSame((await poll(url, { '/a': 5 })).messages, [status({ '/a': 1 })]);
});

t.test('an empty id waits from now on', async (t) => {
  const { bus, url } = await open(t);
  await bus.publish('/a', 'before');
  const answer = poll(url, { '/a': '' });
  // Registered is not yet parked: the id is looked up first.
  await until(() => internalsOf(bus).dispatcher.busiest(1)[0]?.lastId === 1, 'it knows from where on');
  await bus.publish('/a', 'after');
  t.strictSame(
    (await answer).messages.map((message) => message.data),
    ['after'],
  );
});

t.test('a poll that has caught up waits without a query', async (t) => {
  const { bus, url, pool, parked } = await open(t);
  await bus.publish('/a', 1);
  await poll(url, { '/a': 0 });
  let queries = 0;
  pool.on('acquire', () => queries++);
  const answer = poll(url, { '/a': 1 });
  await parked(1);
  await delay(50);
  t.equal(queries, 0);
  await bus.publish('/a', 2);
  t.equal((await answer).messages.length, 1);
  t.equal(queries, 1, 'that of the publisher');
});

t.test('a stream', async (t) => {
  const { bus, url, pool } = await open(t, { longPollingInterval: 4_000 });
  await bus.publish('/b', 'backlog');

  // The headers come with the first frame.
  const begin = (client: string, channels: object) =>
    fetch(`${url}/message-bus/${client}/poll`, { method: 'POST', headers: json, body: JSON.stringify(channels) });
  const quiet = await begin('x', { '/a': 0, '/b': 1 });
  const late = await begin('y', { '/a': 0, '/b': 0 });
  await bus.publish('/a', 'a separator: \r\n|\r\n');
  await until(async () => (await bus.lastId('/a')) === 1, 'it is published');
  await pool.query(`begin; select message_bus.publish('/a', '2'); select message_bus.publish('/b', '3'); commit`);
  const separator = '\r\n|\r\n';
  const b1 = '{"global_id":1,"message_id":1,"channel":"/b","data":"backlog"}';
  // How many go into a frame depends on when they arrive.
  const live = [
    '{"global_id":2,"message_id":1,"channel":"/a","data":"a separator: \\r\\n|\\r\\n"}',
    '{"global_id":3,"message_id":2,"channel":"/a","data":2}',
    '{"global_id":4,"message_id":2,"channel":"/b","data":3}',
  ];
  const ends = ['[]', ''];
  for (const [answer, first, what] of [
    [await quiet.text(), '[]', 'begins with [] where there is no backlog'],
    [await late.text(), `[${b1}]`, 'begins with the backlog'],
  ] as const) {
    const frames = answer.split(separator);
    t.equal(frames[0], first, what);
    t.equal(frames.slice(1, -2).join('').replaceAll('][', ','), `[${live.join(',')}]`);
    t.strictSame(frames.slice(-2), ends);
  }
  t.equal(internalsOf(bus).dispatcher.counts.cursors, 0);
});

t.test('a stream at -1 begins with the status', async (t) => {
  const { bus, url } = await open(t);
  await bus.publish('/a', 1);
  const frames = stream(url, { '/a': -1, '/b': 7 });
  t.strictSame((await frames.next()).value, [status({ '/a': 1, '/b': 0 })]);
  await bus.publish('/a', 2);
  t.match((await frames.next()).value, [{ message_id: 2 }]);
  await bus.publish('/b', 1);
  t.match((await frames.next()).value, [{ channel: '/b', message_id: 1 }], 'an id ahead was put back');
  await frames.return();
});

t.test('Dont-Chunk, and chunked encoding off on the server: no stream', async (t) => {
  for (const [options, headers] of [
    [{}, { 'dont-chunk': '1' }],
    [{ chunkedEncodingEnabled: false }, {}],
  ] as const) {
    const { bus, url, parked } = await open(t, options);
    const answer = send(`${url}/message-bus/x/poll`, { headers: { ...json, ...headers }, body: '{"/a":0}' });
    await parked(1);
    await bus.publish('/a', 1);
    const { headers: received, text } = await answer;
    t.equal(received['content-type'], 'application/json; charset=utf-8');
    t.match(JSON.parse(text), [{ message_id: 1 }]);
  }
});

t.test('long polling off on the server: answered at once', async (t) => {
  const { bus, text } = await open(t, { longPollingEnabled: false });
  t.equal(await text({ '/a': 0 }), '[]');
  t.equal(await text({ '/a': 0 }, { 'dont-chunk': '1' }), '[]');
  await bus.publish('/a', 1);
  t.match(JSON.parse(await text({ '/a': 0 })), [{ message_id: 1 }]);
});

t.test('maxActiveClients', async (t) => {
  const { bus, url, parked } = await open(t, { maxActiveClients: 3 });
  await t.test('of many that come together so many wait, the others are answered at once', async (t) => {
    let answered = 0;
    const polls = Array.from({ length: 20 }, (_, i) =>
      poll(url, { '/a': 0 }, { client: `c${i}`, headers: i % 2 ? { 'dont-chunk': '1' } : {} }).then((answer) => {
        answered++;
        return answer.messages.length;
      }),
    );
    await until(() => answered === 17, '17 are answered');
    await parked(3);
    await bus.publish('/a', 1);
    t.equal((await Promise.all(polls)).filter((messages) => messages === 1).length, 3);
  });

  await t.test('a place that was left is free again, however it was left', async () => {
    for (let round = 0; round < 10; round++) {
      const hangUp = new AbortController();
      const leaving = [0, 1, 2].map((i) =>
        poll(url, { '/a': 1 }, { client: `l${i}`, signal: hangUp.signal }).catch(() => {}),
      );
      await parked(3);
      hangUp.abort();
      await Promise.all(leaving);
      await parked(0);
    }
    const answer = poll(url, { '/a': 1 });
    await parked(1);
    await bus.publish('/a', 2);
    await answer;
  });
});

t.test('maxActiveClients 0: none waits', async (t) => {
  const { text } = await open(t, { maxActiveClients: 0 });
  t.equal(await text({ '/a': 0 }), '[]');
});

t.test('maxWaitingChannels', async (t) => {
  let release: (() => void) | undefined;
  const { bus, url, parked, text } = await open(t, {
    maxWaitingChannels: 5,
    isAdminLookup: () => true,
    userIdLookup: ({ headers }) =>
      headers.slow === undefined
        ? null
        : new Promise((resolve) => {
            release = () => resolve(null);
          }),
  });
  const three = { '/a': 0, '/b': 0, '/c': 0 };
  await t.test('polls that would wait on more channels together are answered at once', async (t) => {
    const first = poll(url, three, { client: 'first' });
    await parked(3);
    t.equal(await text(three), '[]');
    const second = poll(url, { '/d': 0, '/e': 0 }, { client: 'second' });
    await parked(5);
    t.equal(await text({ '/a': 0 }), '[]');
    await bus.publish('/a', 1);
    await first;
    await bus.publish('/d', 1);
    await second;
    await parked(0);
  });

  await t.test('a poll whose lookups are under way counts, until its client hangs up', async (t) => {
    const hangUp = new AbortController();
    const looking = poll(url, three, { client: 'slow', headers: { slow: 't' }, signal: hangUp.signal }).catch(() => {});
    await until(() => release !== undefined, 'the lookup is under way');
    t.equal(await text({ '/b': 0, '/c': 0, '/e': 0 }), '[]');
    hangUp.abort();
    await looking;
    const waitingChannels = async (): Promise<number> => {
      const seen = await send(`${url}/message-bus/_diagnostics`, { method: 'GET' });
      return JSON.parse(seen.text).clients.waitingChannels;
    };
    await until(async () => (await waitingChannels()) === 0, 'there is room again');
    const waiting = poll(url, { '/b': 0, '/c': 0, '/e': 0 }, { client: 'next' });
    await parked(3);
    await bus.publish('/b', 1);
    t.match((await waiting).messages, [{ channel: '/b' }]);
    release?.();
  });
});

t.test('polls that are answered at once have a limit, too: beyond it they are refused', async (t) => {
  const releases: (() => void)[] = [];
  const { url } = await open(t, {
    maxWaitingChannels: 0,
    userIdLookup: () => new Promise((resolve) => releases.push(() => resolve(null))),
  });
  const channels = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`/a${i}`, 0]));
  const polls = Array.from({ length: 50 }, (_, i) => poll(url, channels, { client: `c${i}` }));
  await until(() => releases.length === 48, '48 polls with 200 channels are under way');
  const refused = await Promise.race(polls);
  t.equal(refused.status, 503);
  t.match(JSON.parse(refused.text), { code: 'POSTBUS_TOO_BUSY' });
  for (const release of releases) release();
  const statuses = (await Promise.all(polls)).map(({ status }) => status).sort();
  t.strictSame(statuses, [...Array(48).fill(200), 503, 503]);
});

t.test('dlp=t, given twice, does not wait either', async (t) => {
  const { url } = await open(t);
  const answer = await send(`${url}/message-bus/x/poll?dlp=t&dlp=t`, { headers: json, body: '{"/a":0}' });
  t.equal(answer.text, '[]');
});
