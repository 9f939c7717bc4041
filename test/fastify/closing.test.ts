import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import Fastify from 'fastify';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import postbus, { type PostbusOptions } from '../../src/fastify/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { json } from '../helpers/http.js';
import { sendRaw } from '../helpers/raw-request.js';
import { poll, stream } from '../helpers/server.js';
import { until } from '../helpers/until.js';

/** An application with Fastify's own defaults. */
async function open(t: Test, options: Partial<PostbusOptions> = {}) {
  const { url: database, pool } = await createDatabase(t);
  const bus = openBus(t, database);
  const app = Fastify();
  await app.register(postbus, { bus, ...options });
  t.teardown(() => app.close());
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  await until(() => bus.isConnected, 'the bus listens');
  const cursors = (count: number) =>
    until(() => internalsOf(bus).dispatcher.counts.cursors === count, `${count} cursors`);
  return { app, bus, url, pool, cursors };
}

async function frames(url: string, channels: Record<string, number>, client: string): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const frame of stream(url, channels, { client })) all.push(frame);
  return all;
}

t.test(
  'a long poll that ends with its server says that the connection ends, so that nobody asks on it again',
  async (t) => {
    const { app, url, cursors } = await open(t);
    const body = '{"/a":0}';
    const head = `POST /message-bus/c/poll HTTP/1.1\r\nHost: localhost\r\nDont-Chunk: true\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
    const answer = sendRaw(url, `${head}\r\n\r\n${body}`);
    await cursors(1);
    await app.close();
    t.match(await answer, { status: 200, head: /\r\nconnection: close(\r\n|$)/i, body: '[]' });
  },
);

const seconds = async (what: Promise<unknown>) => {
  const start = performance.now();
  await what;
  return (performance.now() - start) / 1000;
};

t.test(
  'app.close() ends long polls and streams with [], and the server, though clients keep connections',
  async (t) => {
    const { app, bus, url, cursors } = await open(t);
    const isOpen = () =>
      fetch(url).then(
        () => true,
        () => false,
      );
    const polls = Array.from({ length: 50 }, (_, i) => poll(url, { '/a': 0 }, { client: `p${i}` }));
    const streams = Array.from({ length: 50 }, (_, i) => frames(url, { '/a': 0 }, `s${i}`));
    await cursors(100);
    t.ok(await isOpen());
    // Far below the interval of 25 s and the 72 s that idle connections are kept.
    t.ok((await seconds(app.close())) < 10);
    for (const { status, text } of await Promise.all(polls)) t.strictSame([status, text], [200, '[]']);
    for (const all of await Promise.all(streams)) t.strictSame(all, [[], []], 'the first frame and the last');
    t.equal(internalsOf(bus).dispatcher.counts.cursors, 0);
    t.notOk(await isOpen());
    t.equal(await bus.publish('/a', 1), 1, 'the bus is not closed with it');
  },
);

t.test('app.close() ends polls whose lookups are under way and polls whose backlog is being read', async (t) => {
  let answer = () => {};
  let asked = 0;
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const { app, url, pool, cursors } = await open(t, {
    userIdLookup: async (request) => {
      asked++;
      if (request.headers['x-slow']) await answered;
      return null;
    },
  });
  const lock = await pool.connect();
  await lock.query('begin; lock table message_bus.channels in access exclusive mode');
  const reading = [poll(url, { '/a': 0 }, { client: 'a' }), frames(url, { '/a': 0 }, 'b')];
  await cursors(2);
  const looking = [
    poll(url, { '/a': 0 }, { client: 'c', headers: { 'x-slow': '1' } }),
    frames(url, { '/a': 0 }, 'd').then((all) => (all.length === 0 ? 'no stream' : all)),
  ];
  await until(() => asked === 4, 'the lookups are under way');
  setTimeout(answer, 100);
  t.ok((await seconds(app.close())) < 10);
  await lock.query('commit');
  lock.release();
  t.match(await reading[0], { status: 200, text: '[]' });
  await Promise.all(reading);
  t.match(await looking[0], { status: 200, text: '[]' });
  await Promise.all(looking);
});

t.test(
  'the bus closed before the application: those who wait are told, new polls are refused, and it ends',
  async (t) => {
    const { app, bus, url, pool, cursors } = await open(t);
    const parked = Array.from({ length: 20 }, (_, i) => poll(url, { '/a': 0, '/b': 0 }, { client: `p${i}` }));
    const streamed = Array.from({ length: 20 }, (_, i) => frames(url, { '/a': 0, '/b': 0 }, `s${i}`));
    const subscriber = await bus.subscribe('/a', () => {});
    await cursors(81);
    const lock = await pool.connect();
    await lock.query('begin; lock table message_bus.channels in access exclusive mode');
    const reading = poll(url, { '/new': 0 }, { client: 'reading' });
    await cursors(82);
    const isClosed = (answer: { status: number; text: string }) => {
      t.equal(answer.status, 503);
      t.match(JSON.parse(answer.text), { statusCode: 503, code: 'POSTBUS_CLOSED' });
    };
    const closing = bus.close();
    const early = [
      poll(url, { '/a': 0 }, { client: 'early' }),
      poll(url, { '/c': -1 }, { client: 'early', dlp: true }),
    ];
    // At once: the database still holds up the query that the bus waits for.
    for (const answer of await Promise.all([...parked, reading, ...early])) isClosed(answer);
    for (const all of await Promise.all(streamed)) t.strictSame(all, [[], []], 'the first frame and the last');
    t.equal(internalsOf(bus).dispatcher.counts.cursors, 0);
    await lock.query('commit');
    lock.release();
    await closing;
    for (const channels of [{ '/a': 0 }, { '/b': -1 }, { '/new': '' }]) {
      for (const dlp of [false, true]) isClosed(await poll(url, channels, { dlp }));
      t.equal(
        (await fetch(`${url}/message-bus/s/poll`, { method: 'POST', headers: json, body: '{"/a":0}' })).status,
        503,
      );
    }
    t.equal(internalsOf(bus).dispatcher.counts.cursors, 0);
    await subscriber.unsubscribe();
    t.ok((await seconds(app.close())) < 10);
  },
);

t.test('app.close() does not wait for requests that do not come to their end', async (t) => {
  const never = () => new Promise<never>(() => {});
  let asked = 0;
  const { app, url } = await open(t, {
    extraResponseHeadersLookup: ({ headers }) => (headers['x-slow'] && ++asked ? never() : undefined),
    userIdLookup: ({ headers }) => (headers['x-user'] && ++asked ? never() : undefined),
  });
  const stalled = connect(Number(new URL(url).port), '127.0.0.1');
  stalled.write('POST /message-bus/a/poll HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n');
  stalled.write('content-length: 9\r\nexpect: 100-continue\r\n\r\n{');
  await once(stalled, 'data');
  const cutOff = ['x-slow', 'x-user'].map((name) => poll(url, { '/a': 0 }, { headers: { [name]: '1' } }));
  const outcomes = Promise.allSettled(cutOff);
  await until(() => asked === 2, 'the lookups are under way');
  t.ok((await seconds(app.close())) < 10);
  t.match(await outcomes, [{ status: 'rejected' }, { status: 'rejected' }]);
  stalled.destroy();
});

t.test('app.close() at any moment, with polls coming in', async (t) => {
  for (let round = 0; round < 6; round++) {
    const { app, bus, url } = await open(t);
    let isOver = false;
    const clients = Array.from({ length: 10 }, async (_, i) => {
      for (let at = 0; !isOver; ) {
        await delay(Math.random() * 10);
        const answer = i % 2 ? poll(url, { '/a': at }, { client: `p${i}` }) : frames(url, { '/a': at }, `s${i}`);
        await answer.catch(() => {});
        at = await bus.lastId('/a');
      }
    });
    for (let i = 0; i < 10 * round; i++) await bus.publish('/a', i);
    t.ok((await seconds(app.close())) < 10);
    isOver = true;
    await Promise.all(clients);
    t.equal(internalsOf(bus).dispatcher.counts.cursors, 0);
  }
});
