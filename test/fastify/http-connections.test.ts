import { once } from 'node:events';
import http2 from 'node:http2';
import { connect } from 'node:net';
import Fastify from 'fastify';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import postbus, { type PostbusOptions } from '../../src/fastify/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll, stream } from '../helpers/server.js';
import { until } from '../helpers/until.js';

async function openConnectedBus(t: Test) {
  const { url } = await createDatabase(t);
  const bus = openBus(t, url);
  await bus.connect();
  await until(() => bus.isConnected, 'the bus listens');
  const cursors = (count: number) =>
    until(() => internalsOf(bus).dispatcher.counts.cursors === count, `${count} cursors`);
  return { bus, cursors };
}

t.test('requests that are sent on before the answer to the one before', async (t) => {
  const { bus, cursors } = await openConnectedBus(t);
  const { url } = await listen(t, { bus, longPollingInterval: 4_000 });
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  await once(socket, 'connect');
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const send = (client: string, header: string, query = '') => {
    const head = `POST /message-bus/${client}/poll${query} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n`;
    socket.write(`${head}${header}content-length: 8\r\n\r\n{"/a":0}`);
  };
  send('first', 'dont-chunk: 1\r\n');
  send('second', '');
  send('third', 'dont-chunk: 1\r\n');
  await cursors(3);
  await bus.publish('/a', 'one');
  await until(() => text.includes('"one"'), 'the long poll is answered');
  await cursors(1);
  // The stream is second in line, and has something to say; its end makes way for the third.
  await bus.publish('/a', 'two');
  await until(() => text.split('HTTP/1.1 200 OK').length === 4, 'all are answered');
  const [, first = '', second = '', third = ''] = text.split('HTTP/1.1 200 OK');
  t.match(first, /application\/json.*"one"/s);
  t.match(second, /text\/plain.*"one".*"two".*\[\]\r\n\|\r\n\r\n0\r\n\r\n$/s);
  await until(() => text.endsWith('}]'), 'the third has come');
  t.match(third, /application\/json.*"one"/s);
  await cursors(0);
  socket.destroy();
});

t.test('hooks of the application see the requests of polls until the end', async (t) => {
  const { bus, cursors } = await openConnectedBus(t);
  const seen: unknown[] = [];
  const { url } = await listen(t, { bus, longPollingInterval: 300 }, (app) => {
    app.addHook('onResponse', async (request, reply) => {
      seen.push([request.url, request.headers['x-name'], reply.statusCode]);
    });
  });
  const woken = poll(url, { '/a': 0 }, { client: 'woken', headers: { 'x-name': 'w' } });
  await cursors(1);
  await bus.publish('/a', 1);
  await woken;
  await poll(url, { '/a': 1 }, { client: 'waited', headers: { 'x-name': 'i' } });
  for await (const _frame of stream(url, { '/a': 0 }, { client: 'streamed', headers: { 'x-name': 's' } }));
  await until(() => seen.length === 3, 'the hook has run for each');
  t.strictSame(seen, [
    ['/message-bus/woken/poll', 'w', 200],
    ['/message-bus/waited/poll', 'i', 200],
    ['/message-bus/streamed/poll', 's', 200],
  ]);
});

t.test('polls end in their order, each at its own interval, though others are answered in between', async (t) => {
  const { bus, cursors } = await openConnectedBus(t);
  const { url } = await listen(t, { bus, longPollingInterval: 400 });
  const ended: string[] = [];
  const polls: Promise<unknown>[] = [];
  for (const [i, channel] of ['/a', '/b', '/a', '/b', '/b'].entries()) {
    const start = performance.now();
    const answer = poll(url, { [channel]: 0 }, { client: `c${i}` }).then(({ messages }) => {
      ended.push(`${i}${messages.length ? ' with news' : ''}`);
      if (messages.length === 0) t.ok(performance.now() - start > 395, 'not before its time');
    });
    polls.push(answer);
    await cursors(i + 1);
  }
  await bus.publish('/a', 1);
  await Promise.all(polls);
  t.strictSame(ended.slice(0, 2).sort(), ['0 with news', '2 with news']);
  t.strictSame(ended.slice(2), ['1', '3', '4']);
  await poll(url, { '/b': 0 });
  t.equal(internalsOf(bus).dispatcher.counts.cursors, 0, 'and one that comes after all have ended');
});

async function openHttp2(t: Test, options: PostbusOptions) {
  const app = Fastify({ http2: true });
  await app.register(postbus, options);
  t.teardown(() => app.close());
  const session = http2.connect(await app.listen({ port: 0, host: '127.0.0.1' }));
  t.teardown(() => session.destroy());
  return (client: string, headers: Record<string, string> = {}) => {
    const request = session.request({
      ':method': 'POST',
      ':path': `/message-bus/${client}/poll`,
      'content-type': 'application/json',
      ...headers,
    });
    request.on('error', () => {});
    request.end('{"/a":0}');
    const closed = new Promise<void>((resolve) => request.once('close', resolve));
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    return { request, closed, text: () => text };
  };
}

t.test('HTTP/2', async (t) => {
  const { bus, cursors } = await openConnectedBus(t);
  let looking = 0;
  let letGo = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const send = await openHttp2(t, {
    bus,
    longPollingInterval: 4_000,
    userIdLookup: async (request) => {
      if (!request.headers['x-slow']) return null;
      looking++;
      await held;
      return null;
    },
  });
  const whole = send('whole', { 'dont-chunk': '1' });
  const streamed = send('streamed');
  await cursors(2);
  await until(() => streamed.text() !== '', 'the stream has begun');
  await bus.publish('/a', 'x');
  await Promise.all([whole.closed, streamed.closed]);
  t.match(JSON.parse(whole.text()), [{ data: 'x' }]);
  t.match(streamed.text(), /^\[\]\r\n\|\r\n\[\{.*"x"\}\]\r\n\|\r\n\[\]\r\n\|\r\n$/);
  await bus.reset();
  await cursors(0);

  await t.test('clients that hang up are forgotten, also while their lookups are under way', async (t) => {
    const gone = [send('a', { 'dont-chunk': '1' }), send('b')];
    await cursors(2);
    for (const { request } of gone) request.close(http2.constants.NGHTTP2_CANCEL);
    await cursors(0);
    const slow = [send('c', { 'dont-chunk': '1', 'x-slow': '1' }), send('d', { 'x-slow': '1' })];
    await until(() => looking === 2, 'both lookups are under way');
    for (const { request } of slow) request.close(http2.constants.NGHTTP2_CANCEL);
    await Promise.all(slow.map(({ closed }) => closed));
    // The server has read what was sent before this.
    const after = send('after', { 'dont-chunk': '1' });
    await after.closed;
    letGo();
    await held;
    await bus.lastId('/a');
    t.equal(internalsOf(bus).dispatcher.counts.cursors, 0);
  });
});
