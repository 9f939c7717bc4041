import pg from 'pg';
import t, { type Test } from 'tap';
import { startEmbeddedPostgres } from '../../src/embedded-postgres/index.js';
import { openBus } from '../helpers/bus.js';
import { countedPool } from '../helpers/counted-pool.js';
import { createDatabase } from '../helpers/database.js';
import { createRole } from '../helpers/role.js';
import { startTcpProxy } from '../helpers/tcp-proxy.js';
import { until } from '../helpers/until.js';

const full = { code: 'POSTBUS_NOTIFY_QUEUE_FULL', statusCode: 503, message: /docs\/operating\.md/ };

/** A server of the test's own with a NOTIFY queue of half a megabyte; undefined before Postgres 17, where it has 8 GB. */
async function startServer(t: Test) {
  const server = await startEmbeddedPostgres({ settings: { max_notify_queue_pages: '64', fsync: 'off' } }).catch(
    () => undefined,
  );
  if (server) t.teardown(() => server.stop());
  return server;
}

/** A client of the test's own. */
async function connect(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'culprit' });
  client.on('error', () => {});
  await client.connect();
  t.teardown(() => client.end());
  return client;
}

/** Notifies until no more goes in, or the queue is as full as that. */
async function fill(client: pg.Client, share = 1): Promise<void> {
  for (;;) {
    const { rows } = await client.query('select pg_notification_queue_usage() as usage');
    if (rows[0].usage >= share) return;
    try {
      await client.query(`select pg_notify('elsewhere', n || repeat('x', 7900)) from generate_series(1, 4) n`);
    } catch {
      return;
    }
  }
}

t.test('a full NOTIFY queue', async (t) => {
  const server = await startServer(t);
  if (!server) {
    t.pass('Postgres before 17 has no small queue');
    return;
  }
  const { url } = server;
  const client = await connect(t, url);
  const quiet = openBus(t, url, { keepaliveInterval: 0 });
  await quiet.migrate();

  await t.test('rejects what is published at once, whole batches in one attempt', async (t) => {
    const culprit = await connect(t, url);
    await culprit.query('listen elsewhere');
    await culprit.query('begin');
    await fill(client);
    const { pool, statements } = countedPool(t, url);
    const bus = openBus(t, '', { pool, keepaliveInterval: 0 });
    const outcomes = await Promise.allSettled(Array.from({ length: 100 }, (_, i) => bus.publish('/a', i)));
    for (const outcome of outcomes) t.match(outcome, { status: 'rejected', reason: full });
    t.ok(statements.length <= 4, `${statements.length} statements: the batches and how full the queue is`);
    await t.rejects(bus.configure({ maxBacklogSize: 5 }), full, 'settings are announced, too');
    await t.rejects(bus.check(), full, 'nor is it ready');
    t.equal(await bus.lastId('/a'), 0);

    await culprit.query('commit');
    t.equal(await bus.publish('/a', 1), 1, 'the first that is published after that gets through');
  });

  await t.test('is emptied by a node that publishes nothing, for those who publish in SQL', async (t) => {
    const culprit = await connect(t, url);
    await culprit.query('listen elsewhere');
    await culprit.query('begin');
    const bus = openBus(t, url, { keepaliveInterval: 50 });
    await bus.connect();
    await until(() => bus.isConnected, 'it listens');
    await fill(client);
    await until(() => bus.log.some(({ message }) => message.startsWith('could not send a keepalive')), 'it noticed');
    await culprit.query('commit');
    const publishes = () =>
      client.query(`select message_bus.publish('/b', '1')`).then(
        () => true,
        () => false,
      );
    await until(publishes, 'it gets through');
  });

  await t.test('puts nothing aside of what the relay is to publish', async (t) => {
    await quiet.configure({ relay: true });
    const culprit = await connect(t, url);
    await culprit.query('listen elsewhere');
    await culprit.query('begin');
    await fill(client);
    const bus = openBus(t, url);
    const received: unknown[] = [];
    await bus.subscribe('/c', ({ data }) => received.push(data));
    await client.query(`select message_bus.publish_later('/c', to_jsonb(n)) from generate_series(1, 3) n`);
    await until(() => bus.log.some(({ message }) => message.startsWith('could not relay')), 'it tried');
    await culprit.query('commit');
    await until(() => received.length === 3, 'they came');
    t.strictSame(received, [1, 2, 3]);
    t.equal((await client.query('select * from message_bus.relay_refused()')).rowCount, 0);
    await quiet.configure({ relay: false });
  });

  await t.test('is warned of from a tenth on, with the session that is in the way', async (t) => {
    const culprit = await connect(t, url);
    const { rows } = await culprit.query('select pg_backend_pid() as pid');
    await culprit.query('listen elsewhere');
    await culprit.query('begin');
    await fill(client, 0.15);
    const bus = openBus(t, url, { keepaliveInterval: 50 });
    await bus.connect();
    await until(() => bus.log.length > 0, 'it warns');
    t.match(bus.log, [
      {
        level: 'warn',
        message: /NOTIFY queue of Postgres fills up/,
        details: { suspects: [{ pid: rows[0].pid, application: 'culprit', state: 'idle in transaction' }], hidden: 0 },
      },
    ]);
    await culprit.query('commit');
  });
});

t.test('Postgres is asked to end a listening session whose client takes nothing, and never for idleness', async (t) => {
  const database = await createDatabase(t);
  const { role, url } = await createRole(t, database);
  await database.query(`grant usage on schema message_bus to ${role}`);
  await database.query(`grant execute on all functions in schema message_bus to ${role}`);
  await database.query(`alter role ${role} set idle_session_timeout = '300ms'`);
  const begins: string[] = [];
  const proxy = await startTcpProxy(
    t,
    () => url,
    (near, far) => {
      near.once('data', (data) => begins.push(data.toString('latin1')));
      near.pipe(far).pipe(near);
    },
  );
  const address = new URL(proxy);
  address.searchParams.set('options', '-c search_path=elsewhere');
  for (const connectionString of [proxy, address.href]) {
    begins.length = 0;
    const bus = openBus(t, connectionString);
    await bus.connect();
    await until(() => bus.isConnected, 'it listens');
    const listener = begins.filter((begin) => begin.includes('postbus listener'));
    t.match(listener, [/options\0[^\0]*-c tcp_user_timeout=30000/]);
    t.equal(listener[0]?.includes('search_path'), connectionString === address.href, 'and what the address says');
    const gone = `select from pg_stat_activity where application_name = 'postbus' and usename = $1`;
    await until(
      async () => (await database.query(gone, [role])).length === 0,
      'the idle connections of the pool are ended',
    );
    t.equal(bus.isConnected, true);
    await bus.close();
  }
});
