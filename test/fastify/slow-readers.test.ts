import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import http2 from 'node:http2';
import { connect, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { OpenAnswers } from '../../src/fastify/polls/open-answers.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, stream } from '../helpers/server.js';
import { until } from '../helpers/until.js';

async function open(t: Test) {
  const { url: database } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, { bus });
  await until(() => bus.isConnected, 'the bus listens');
  return { bus, url };
}

/** A request whose client takes nothing off the line until it is resumed. */
async function openUnread(port: number, channel = '/a'): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.pause();
  const body = JSON.stringify({ [channel]: 0 });
  const head = `POST /message-bus/slow/poll HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
  socket.write(`${head}\r\n\r\n${body}`);
  return socket;
}

const portOf = (url: string) => Number(new URL(url).port);

t.test('a stream that is not read is cut off after a few MB, and delays nobody', async (t) => {
  const { bus, url } = await open(t);
  const unread = await openUnread(portOf(url));
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 1, 'it waits');
  const frames = stream(url, { '/a': 0 }, { client: 'quick' });
  await frames.next();
  const data = 'x'.repeat(1_000_000);
  let received = 0;
  let kept = 0;
  for (let i = 1; i <= 60; i++) {
    await bus.publish('/a', data);
    while (received < i) received += (await frames.next()).value?.length ?? 0;
    if (internalsOf(bus).dispatcher.counts.cursors === 2) kept++;
  }
  // What the kernel takes into its buffers for a connection comes on top.
  t.ok(kept < 30, `${kept} MB were kept for it`);
  t.equal(internalsOf(bus).dispatcher.counts.cursors, 1);
  await frames.return();
  unread.destroy();
});

t.test('a slow client gets a large message, though others come meanwhile', async (t) => {
  const { bus, url } = await open(t);
  const size = 30_000_000;
  await bus.configure({ maxDataSize: 2 * size });
  await bus.publish('/a', 'x'.repeat(size));
  const socket = await openUnread(portOf(url));
  await once(socket, 'readable');
  const quick = stream(url, { '/a': 1 }, { client: 'quick' });
  await quick.next();
  for (let i = 0; i < 5; i++) {
    await bus.publish('/a', `live ${i}`);
    await quick.next();
  }
  await quick.return();
  let length = 0;
  let end = '';
  let hasMessage = false;
  socket.setEncoding('latin1').on('data', (part: string) => {
    length += part.length;
    hasMessage ||= (end + part).includes('x"}]');
    end = (end + part).slice(-20);
  });
  socket.resume();
  await Promise.race([until(() => hasMessage, 'the whole of it came'), once(socket, 'close')]);
  t.ok(length > size, `${length} bytes`);
  socket.destroy();
});

const patience = 1_000;

/** A server of large answers. */
async function serveLarge(t: Test, server: Server, size: number) {
  const answers = new OpenAnswers(patience);
  let isOpen = 0;
  server.on('request', (_request: unknown, response: ServerResponse) => {
    answers.add(response);
    isOpen++;
    response.on('close', () => {
      isOpen--;
    });
    response.end(Buffer.alloc(size, 'x'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(async () => {
    await answers.drain();
    server.close();
  });
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return { port, count: (of: number) => until(() => isOpen === of, `${of} answers are under way`) };
}

t.test('an answer that its client takes nothing of is cut off', async (t) => {
  const { port, count } = await serveLarge(t, createServer(), 40_000_000);
  const unread = await openUnread(port);
  await count(1);
  await count(0);
  unread.destroy();
  t.pass();
});

// Beside each other: what they do is wait.
t.jobs = 4;
for (const keepAliveTimeout of [60_000, 0]) {
  t.test(`a client that takes a little at a time is not cut off; keepAliveTimeout ${keepAliveTimeout}`, async (t) => {
    const size = 60_000_000;
    const { port, count } = await serveLarge(t, createServer({ keepAliveTimeout }), size);
    const slow = await openUnread(port);
    await count(1);
    let closed = false;
    slow.on('close', () => {
      closed = true;
    });
    let taken = 0;
    const end = Date.now() + 2.5 * patience;
    while (Date.now() < end && !closed) {
      await delay(20);
      taken += slow.read()?.length ?? 0;
    }
    t.ok(taken < size / 2, `it was slow: ${taken} bytes`);
    slow.on('data', (data) => {
      taken += data.length;
    });
    slow.resume();
    await until(() => taken > size || closed, 'it came to an end');
    t.ok(taken > size, 'the whole of it came');
    await count(0);
    await delay(1.5 * patience);
    t.notOk(closed, 'its connection is kept for the next poll');
    slow.destroy();
  });
}

t.test('an answer over HTTP/2 that its client takes nothing of is cut off', async (t) => {
  const { port, count } = await serveLarge(t, http2.createServer(), 10_000_000);
  const session = http2.connect(`http://127.0.0.1:${port}`);
  const request = session.request({ ':method': 'POST' });
  request.on('error', () => {});
  request.end();
  await count(1);
  await count(0);
  session.destroy();
  t.pass();
});
