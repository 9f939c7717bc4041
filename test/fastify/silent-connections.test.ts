import { once } from 'node:events';
import { connect as connectSession } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectSecurely } from 'node:tls';
import Fastify, { type FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { MessageBusClient } from '../../src/client/index.js';
import postbus from '../../src/fastify/index.js';
import { createMemoryBus } from '../../src/memory/index.js';
import { until } from '../helpers/until.js';

const bus = createMemoryBus();
t.teardown(() => bus.close());

async function listen(t: Test, app: FastifyInstance): Promise<number> {
  await app.register(postbus, { bus });
  t.teardown(() => app.close());
  await app.listen({ port: 0, host: '127.0.0.1' });
  const address: AddressInfo | string | null = app.server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

/** Rejects if it takes so long that it has waited for a timeout of Node's. */
async function closesSoon(t: Test, app: { close(): PromiseLike<unknown> }): Promise<void> {
  const started = performance.now();
  await app.close();
  t.ok(performance.now() - started < 10_000, `closed after ${Math.round(performance.now() - started)} ms`);
}

t.test('app.close() does not wait for the connection that fetch opens after a client was stopped', async (t) => {
  const app = Fastify();
  const port = await listen(t, app);
  const client = new MessageBusClient({ baseUrl: `http://127.0.0.1:${port}/` });
  const heard: unknown[] = [];
  client.subscribe('/a', (data) => heard.push(data));
  client.start();
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 1, 'the client polls');
  await bus.publish('/a', 1);
  await until(() => heard.length === 1, 'it heard');
  client.stop();
  // Until undici has opened it.
  await delay(300);
  await closesSoon(t, app);
});

t.test(
  'app.close() ends connections on which nothing was asked, those that come late and those of TLS, too',
  async (t) => {
    const plain = Fastify();
    // Another plugin takes its time to close, and meanwhile somebody connects.
    plain.addHook('preClose', async () => {
      await once(connect(plainPort, '127.0.0.1'), 'connect');
      await delay(300);
    });
    const plainPort = await listen(t, plain);
    // Without a certificate: nothing is checked here.
    const ciphers = 'AECDH-AES256-SHA:@SECLEVEL=0';
    const secure = Fastify({ https: { ciphers, maxVersion: 'TLSv1.2' } });
    const securePort = await listen(t, secure);
    const early = connect(plainPort, '127.0.0.1');
    await once(early, 'connect');
    const withTls = connectSecurely({
      port: securePort,
      host: '127.0.0.1',
      ciphers,
      rejectUnauthorized: false,
      maxVersion: 'TLSv1.2',
    });
    await once(withTls, 'secureConnect');
    const withoutHandshake = connect(securePort, '127.0.0.1');
    await once(withoutHandshake, 'connect');
    await Promise.all([closesSoon(t, plain), closesSoon(t, secure)]);
  },
);

const poll =
  'POST /message-bus/raw/poll HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 8\r\n';

t.test('app.close() does not wait for the rest of a request, the first or a later one on its connection', async (t) => {
  const app = Fastify();
  const port = await listen(t, app);
  const halfOfFirst = connect(port, '127.0.0.1');
  halfOfFirst.write('POST /message-bus/raw/po');
  const halfOfSecond = connect(port, '127.0.0.1');
  halfOfSecond.write(`${poll.replace('/poll', '/poll?dlp=t')}\r\n{"/a":0}`);
  await once(halfOfSecond, 'data');
  halfOfSecond.write(poll.slice(0, -20));
  const halfOfBody = connect(port, '127.0.0.1');
  halfOfBody.write(`${poll}\r\n{"/a"`);
  // Until the server has read it.
  await delay(50);
  await closesSoon(t, app);
});

t.test('app.close() lets requests of the application end, and leaves upgraded connections to it', async (t) => {
  const app = Fastify();
  let answer: (() => void) | undefined;
  app.get('/slow', async () => {
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    return 'whole';
  });
  const port = await listen(t, app);
  app.server.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
    socket.on('end', () => socket.end()).resume();
  });
  const slow = fetch(`http://127.0.0.1:${port}/slow`);
  const socket = connect(port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: a\r\n\r\n');
  await once(socket, 'data');
  let isOpen = true;
  socket.on('close', () => {
    isOpen = false;
  });
  await until(() => answer !== undefined, 'the request is under way');
  const closed = app.close();
  // More than twice the time that silent connections have left.
  await delay(500);
  t.ok(isOpen);
  socket.end();
  answer?.();
  t.equal(await (await slow).text(), 'whole');
  await closed;
});

t.test('app.close() ends sessions of HTTP/2, idle ones and those of polls that wait', async (t) => {
  const app = Fastify({ http2: true });
  await app.register(postbus, { bus });
  const port = Number(new URL(await app.listen({ port: 0, host: '127.0.0.1' })).port);
  const idle = connectSession(`http://127.0.0.1:${port}`);
  await once(idle, 'connect');
  const polling = connectSession(`http://127.0.0.1:${port}`);
  const headers = { ':method': 'POST', ':path': '/message-bus/h2/poll', 'content-type': 'application/json' };
  polling.request(headers).end('{"/h2":0}').resume();
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 1, 'the poll waits');
  await closesSoon(t, app);
});
