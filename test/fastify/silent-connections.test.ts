import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectSecurely } from 'node:tls';
import Fastify, { type FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
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
async function closesSoon(t: Test, app: FastifyInstance): Promise<void> {
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
  await until(() => bus.dispatcher.counts.cursors === 1, 'the client polls');
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
