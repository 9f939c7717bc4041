import Fastify, { type FastifyInstance } from 'fastify';
import type { Test } from 'tap';
import t from 'tap';
import { createServer } from '../../src/server/create-server.js';
import { health } from '../../src/server/health.js';
import { startBlackHole } from '../helpers/black-hole.js';
import { openBus } from '../helpers/bus.js';
import { countedPool } from '../helpers/counted-pool.js';
import { createDatabase, databaseUrl } from '../helpers/database.js';
import { startDeafProxy } from '../helpers/deaf-proxy.js';
import { createGrantee } from '../helpers/role.js';
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
  await until(async () => (await readiness(app)).status === 503, 'the last answer is no longer good');
  const answers = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const asked = performance.now();
      return { ...(await readiness(app)), ms: performance.now() - asked };
    }),
  );
  for (const { status, body, ms } of answers) {
    t.ok(ms < 3_500, `after ${ms} ms; two seconds, on a machine that is not busy`);
    t.equal(status, 503);
    t.match(body, { statusCode: 503, code: /^POSTBUS_(NO_SERVER|CONNECTION_LOST)$/, error: 'Service Unavailable' });
    t.match(body, { message: 'The database does not answer.' });
  }
  t.equal((await app.inject('/health/live')).statusCode, 200, 'it lives all the same');
  t.equal((await readiness(app)).status, 503, 'on a connection that does not come about');
  hole.letThrough();
  await untilReady(app);
});

t.test('however many ask, the database is asked once', async (t) => {
  const { url } = await createDatabase(t);
  const { pool, statements } = countedPool(t, url);
  const bus = openBus(t, '', { pool });
  const app = Fastify();
  t.teardown(() => app.close());
  await app.register(health, { bus });
  await bus.connect();
  await until(() => bus.isConnected, 'it listens');
  const answers = await Promise.all(Array.from({ length: 50 }, () => readiness(app)));
  t.ok(answers.every(({ status }) => status === 200));
  await readiness(app);
  t.equal(statements.filter((statement) => statement.includes('node_ready')).length, 1);
});

t.test('whatever keeps messages from being published makes a server not ready, with its code', async (t) => {
  const { url, name, query } = await createDatabase(t);
  /** What a bus is told that has just been opened: nobody has asked on its behalf before. */
  const codeOf = async () => {
    const bus = openBus(t, url);
    const code = await bus.check().then(
      () => 'ready',
      (error) => error.code,
    );
    await bus.close();
    return code;
  };
  for (const [what, breakIt, mendIt, code] of [
    [
      'a function that is missing',
      'alter function message_bus.publish_batch rename to hidden',
      'alter function message_bus.hidden rename to publish_batch',
      'POSTBUS_NO_SCHEMA',
    ],
    [
      'an older schema',
      `update message_bus.schema_migration set name = 'x' || name where name like '0001%'`,
      'update message_bus.schema_migration set name = substr(name, 2) where name like $$x%$$',
      'POSTBUS_NO_SCHEMA',
    ],
    [
      'a trigger that a restore has left as an ordinary one',
      'alter table message_bus.messages enable trigger announce',
      'alter table message_bus.messages enable always trigger announce',
      'POSTBUS_NO_SCHEMA',
    ],
    [
      'a trigger that is disabled',
      'alter table message_bus.outbox disable trigger publish_outbox',
      'alter table message_bus.outbox enable always trigger publish_outbox',
      'POSTBUS_NO_SCHEMA',
    ],
    [
      'a read-only database',
      `alter database ${name} set default_transaction_read_only = on`,
      `set default_transaction_read_only = off; alter database ${name} reset default_transaction_read_only`,
      'POSTBUS_READ_ONLY',
    ],
    [
      'no room for temporary files',
      `alter database ${name} set temp_file_limit = 0`,
      `alter database ${name} reset temp_file_limit`,
      'POSTBUS_OUT_OF_RESOURCES',
    ],
  ] as const) {
    await query(breakIt);
    t.equal(await codeOf(), code, what);
    if (code !== 'POSTBUS_NO_SCHEMA') {
      const { status, body } = await readiness(await openServer(t, url));
      t.match(
        [status, body],
        [503, { statusCode: 503, code, error: 'Service Unavailable', message: /^The database .+\.$/ }],
      );
    }
    await query(mendIt);
    t.equal(await codeOf(), 'ready', `${what}, no more`);
  }
});

t.test('a role that lacks a right of nodes', async (t) => {
  const { database, role, url } = await createGrantee(t, [
    'node_state',
    'node_ready',
    'relay',
    'publish_batch',
    'held_channels',
    'read_channels',
    'read_global',
    'read_message',
    'find_places',
  ]);
  const app = await openServer(t, url);
  t.match(await readiness(app), { status: 503, body: { code: 'POSTBUS_NO_PERMISSION' } });
  await database.query(`grant execute on function message_bus.read_heads to ${role}`);
  await untilReady(app);
  await database.query(`revoke execute on function message_bus.node_ready from ${role}`);
  await until(async () => (await readiness(app)).body.code === 'POSTBUS_NO_PERMISSION', 'it may not even ask');
});

t.test('to ask leaves nothing behind in the tables', async (t) => {
  const { url, query } = await createDatabase(t);
  const bus = openBus(t, url);
  const state = `select relname, pg_relation_size(oid) as size, (select ctid::text from message_bus.settings) as settings
    from pg_class where relnamespace = 'message_bus'::regnamespace order by relname`;
  const before = await query(state);
  for (let i = 0; i < 50; i++) await query(`select message_bus.node_ready('{}', '{}')`);
  t.strictSame(await query(state), before);
  await bus.check();
});

t.test('a bus that listens and hears nothing', async (t) => {
  const { url } = await createDatabase(t);
  const proxy = await startDeafProxy(t, url);
  const bus = openBus(t, proxy.url, { keepaliveInterval: 50 });
  const app = Fastify();
  t.teardown(() => app.close());
  await app.register(health, { bus });
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
