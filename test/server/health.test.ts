import Fastify, { type FastifyInstance } from 'fastify';
import type { Test } from 'tap';
import t from 'tap';
import { createServer } from '../../src/server/create-server.js';
import { DatabaseProbe } from '../../src/server/database-probe.js';
import { health } from '../../src/server/health.js';
import { startBlackHole } from '../helpers/black-hole.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase, databaseUrl } from '../helpers/database.js';
import { startDeafProxy } from '../helpers/deaf-proxy.js';
import { until } from '../helpers/until.js';

async function openServer(t: Test, connectionString: string): Promise<FastifyInstance> {
  const app = await createServer({ connectionString, schema: 'message_bus', logLevel: 'silent' });
  t.teardown(() => app.close());
  await app.ready();
  return app;
}

async function readiness(app: FastifyInstance): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await app.inject('/health/ready');
  return { status: response.statusCode, body: response.json() };
}

async function untilReady(app: FastifyInstance): Promise<void> {
  await until(async () => (await readiness(app)).status === 200, 'the server was ready');
}

t.test('a server that works', async (t) => {
  const { url } = await createDatabase(t);
  const app = await openServer(t, url);
  await untilReady(app);
  t.strictSame(await readiness(app), { status: 200, body: { status: 'ready' } });
  const live = await app.inject('/health/live');
  t.strictSame([live.statusCode, live.json(), live.headers['cache-control']], [200, { status: 'live' }, 'no-store']);
  t.equal((await app.inject({ method: 'POST', url: '/health/ready' })).statusCode, 404);
});

t.test('a database that says nothing any more', async (t) => {
  const { url } = await createDatabase(t);
  const hole = await startBlackHole(t, url);
  const app = await openServer(t, hole.url);
  await untilReady(app);

  hole.swallow();
  const answers = await Promise.all(Array.from({ length: 20 }, () => readiness(app)));
  for (const { status, body } of answers) {
    t.equal(status, 503);
    t.match(body, { statusCode: 503, code: /^POSTBUS_(NO_SERVER|CONNECTION_LOST)$/, error: 'Service Unavailable' });
    t.match(body, { message: 'The database does not answer.' });
  }
  t.equal((await app.inject('/health/live')).statusCode, 200, 'it lives all the same');
  t.equal((await readiness(app)).status, 503, 'on a connection that does not come about');
  hole.letThrough();
  await untilReady(app);
});

t.test('however many ask, one connection is used', async (t) => {
  const { url, query } = await createDatabase(t);
  const app = await openServer(t, url);
  await Promise.all(Array.from({ length: 50 }, () => readiness(app)));
  const rows = await query(
    `select from pg_stat_activity where application_name = 'postbus health' and datname = current_database()`,
  );
  t.equal(rows.length, 1);
});

t.test('a bus that does not listen', async (t) => {
  const { url, query } = await createDatabase(t);
  const app = await openServer(t, url);
  await untilReady(app);
  // It can connect, and does not find what it listens to.
  await query('alter function message_bus.node_state rename to hidden');
  await query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'postbus listener' and datname = current_database()`,
  );
  await until(async () => (await readiness(app)).status === 503, 'the loss was noticed');
  t.match(await readiness(app), { status: 503, body: { statusCode: 503, code: 'POSTBUS_NOT_LISTENING' } });
  await query('alter function message_bus.hidden rename to node_state');
  await untilReady(app);
});

t.test('a bus that listens and hears nothing', async (t) => {
  const { url } = await createDatabase(t);
  const proxy = await startDeafProxy(t, url);
  const bus = openBus(t, proxy.url, { keepaliveInterval: 50 });
  const probe = new DatabaseProbe(proxy.url, 'message_bus');
  const app = Fastify();
  t.teardown(async () => {
    await app.close();
    await probe.close();
  });
  await app.register(health, { bus, probe });
  await bus.connect();
  await untilReady(app);
  proxy.isDeaf = true;
  await until(async () => (await readiness(app)).status === 503, 'it was noticed');
  t.match(await readiness(app), { status: 503, body: { statusCode: 503, code: 'POSTBUS_NOT_LISTENING' } });
  proxy.isDeaf = false;
  await untilReady(app);
});

t.test('what it answers names neither host nor user', async (t) => {
  const { url } = await createDatabase(t);
  const wrongPassword = new URL(url);
  wrongPassword.password = 'wrong';
  for (const [bad, code] of [
    ['postgres://somebody@127.0.0.1:1/a', 'POSTBUS_NO_SERVER'],
    [wrongPassword.href, 'POSTBUS_BAD_CREDENTIALS'],
    [databaseUrl(url, 'not_there'), 'POSTBUS_NO_DATABASE'],
  ] as const) {
    const { status, body } = await readiness(await openServer(t, bad));
    t.strictSame([status, body.code], [503, code]);
    t.notMatch(JSON.stringify(body), /127\.0\.0\.1|somebody|postgres:|not_there/);
  }
});
