import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import type { PostbusOptions } from '../../src/fastify/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

async function open(t: Test, options: Partial<PostbusOptions> = {}, prepare?: (app: FastifyInstance) => void) {
  const { url: database, pool } = await createDatabase(t);
  const bus = openBus(t, database);
  const { app, url } = await listen(t, { bus, ...options }, prepare);
  await until(() => bus.isConnected, 'the bus listens');
  const cursors = (count: number) =>
    until(() => internalsOf(bus).dispatcher.counts.cursors === count, `${count} cursors`);
  return { app, bus, url, pool, cursors };
}

/** Sends a poll on a connection of its own, or more before the first is answered. */
async function hold(url: string, channels: object, headers: Record<string, string> = {}, count = 1) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  const body = JSON.stringify(channels);
  const all = { host: 'x', 'content-type': 'application/json', 'content-length': String(body.length), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  for (let i = 0; i < count; i++) {
    socket.write(`POST /message-bus/${Math.random()}/poll HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
  }
  return socket;
}

const longPoll = { 'dont-chunk': 'true' };

for (const [kind, headers] of [
  ['long poll', longPoll],
  ['stream', {}],
] as const) {
  t.test(`a ${kind} whose client hangs up is forgotten at once`, async (t) => {
    const { bus, url, cursors } = await open(t);
    for (const way of ['end', 'destroy', 'reset'] as const) {
      const sockets = await Promise.all(Array.from({ length: 20 }, () => hold(url, { '/a': 0, '/b': 0 }, headers)));
      await cursors(40);
      for (const socket of sockets) {
        if (way === 'end') socket.end();
        else if (way === 'destroy') socket.destroy();
        else socket.resetAndDestroy();
      }
      await cursors(0);
    }
    await bus.publish('/a', 1);
    t.equal((await poll(url, { '/a': 0 })).messages.length, 1);
  });
}

t.test('hang-ups at every moment while messages come leave nothing', async (t) => {
  const { bus, url, cursors } = await open(t);
  let isOver = false;
  const publishing = (async () => {
    for (let i = 0; !isOver; i++) {
      await bus.publish('/a', i);
      await delay(Math.random() * 4);
    }
  })();
  await Promise.all(
    Array.from({ length: 150 }, async (_, i) => {
      await delay(Math.random() * 800);
      const socket = await hold(url, { '/a': -1 + (i % 2), '/b': 0 }, i % 3 ? longPoll : {});
      await delay(Math.random() * 30);
      socket.destroy();
    }),
  );
  isOver = true;
  await publishing;
  await cursors(0);
  t.pass('all cursors are gone');
});

t.test('a client that hangs up while its backlog is read', async (t) => {
  const { bus, url, pool, cursors } = await open(t);
  const lock = await pool.connect();
  await lock.query('begin; lock table message_bus.channels in access exclusive mode');
  const sockets = await Promise.all([longPoll, {}].map((headers) => hold(url, { '/a': 0 }, headers)));
  await cursors(2);
  for (const socket of sockets) socket.destroy();
  await cursors(0);
  await lock.query('commit');
  lock.release();
  t.equal(await bus.publish('/a', 1), 1);
  t.equal(internalsOf(bus).dispatcher.counts.cursors, 0);
});

t.test('a client that hangs up while its lookups are under way', async (t) => {
  let asked = 0;
  let answer = () => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const { bus, url, cursors } = await open(t, {
    userIdLookup: async () => {
      asked++;
      if (asked <= 2) await answered;
      return null;
    },
  });
  const sockets = await Promise.all([longPoll, {}].map((headers) => hold(url, { '/a': 0 }, headers)));
  await until(() => asked === 2, 'both lookups are under way');
  const gone = sockets.map((socket) => once(socket, 'close'));
  for (const socket of sockets) socket.destroy();
  await Promise.all(gone);
  // The server hears of it on its own side.
  await delay(50);
  answer();
  const live = poll(url, { '/a': 0 });
  await cursors(1);
  await bus.publish('/a', 1);
  t.equal((await live).messages.length, 1);
  t.equal(internalsOf(bus).dispatcher.counts.cursors, 0);
});

t.test('a client that hangs up halfway through its request', async (t) => {
  const { bus, url, cursors } = await open(t);
  const socket = await hold(url, {}, { 'content-length': '1000' });
  await delay(20);
  socket.destroy();
  const other = poll(url, { '/a': 0 });
  await cursors(1);
  await bus.publish('/a', 1);
  t.equal((await other).messages.length, 1);
});

t.test('a client that hangs up with several polls in line on one connection', async (t) => {
  const calls = { on: 0, off: 0 };
  const { app, cursors, url } = await open(t, { onConnect: () => calls.on++, onDisconnect: () => calls.off++ });
  for (const [i, headers] of [longPoll, {}].entries()) {
    const socket = await hold(url, { '/a': 0 }, headers, 20);
    await until(() => calls.on === 20 * (i + 1), 'all wait');
    socket.destroy();
    await cursors(0);
  }
  await until(() => calls.off === 40, 'all were told of');
  await endsSoon(app);
});

t.test('app.close() with several polls in line on one connection', async (t) => {
  const { app, cursors, url } = await open(t);
  const socket = await hold(url, { '/a': 0 }, longPoll, 20);
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  await cursors(20);
  await endsSoon(app);
  await until(() => text.split('200 OK').length === 21, 'all are answered');
  t.equal(text.split('\r\n\r\n[]').length, 21);
});

for (const hook of ['onRequest', 'preValidation', 'preHandler'] as const) {
  t.test(`a client that hangs up while an ${hook} hook is under way`, async (t) => {
    const calls: string[] = [];
    let asked = 0;
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const prepare = (app: FastifyInstance) => {
      app.addHook(hook, async () => {
        asked++;
        await held;
      });
    };
    const { app, bus, url } = await open(t, { onConnect: ({ clientId }) => calls.push(clientId) }, prepare);
    const sockets = await Promise.all([longPoll, {}].map((headers) => hold(url, { '/a': 0 }, headers)));
    await until(() => asked === 2, 'both hooks are under way');
    for (const socket of sockets) socket.destroy();
    const connections = () => new Promise((resolve) => app.server.getConnections((_error, count) => resolve(count)));
    await until(async () => (await connections()) === 0, 'the server has heard of it');
    letGo();
    await held;
    await bus.lastId('/a');
    t.equal(internalsOf(bus).dispatcher.counts.cursors, 0, 'nothing waits for nobody');
    t.strictSame(calls, []);
    await endsSoon(app);
  });
}

async function endsSoon(app: FastifyInstance): Promise<void> {
  let isClosed = false;
  void app.close().then(() => {
    isClosed = true;
  });
  await until(() => isClosed, 'the application is closed', 10_000);
}
