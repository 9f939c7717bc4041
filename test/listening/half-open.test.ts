import pg from 'pg';
import t from 'tap';
import { PooledPostgres } from '../../src/database/pooled-postgres.js';
import type { Bus } from '../../src/index.js';
import { startBlackHole } from '../helpers/black-hole.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../helpers/database.js';
import { until } from '../helpers/until.js';

// The other end of a connection can vanish without a word: a cable, a firewall that forgets, a failover. Whatever is sent on it
// is then sent to nobody.

/** Makes the bus have several idle connections. */
async function warm(bus: Bus, database: TestDatabase): Promise<void> {
  const idle = `select from pg_stat_activity where application_name = 'postbus' and datname = current_database()`;
  await until(async () => {
    await Promise.all(Array.from({ length: 6 }, () => bus.globalBacklog()));
    return (await database.query(idle)).length >= 5;
  }, 'it has several connections');
}

async function timed<Result>(promise: Promise<Result>): Promise<{ result: Result; ms: number }> {
  const started = performance.now();
  const result = await promise;
  return { result, ms: performance.now() - started };
}

t.test('a read on a dead connection is asked again on a new one, and other dead ones are dropped', async (t) => {
  const database = await createDatabase(t);
  const hole = await startBlackHole(t, database.url);
  const bus = openBus(t, hole.url, { queryTimeout: 4_000, keepaliveInterval: 0 });
  await bus.publish('/a', 1);
  await warm(bus, database);
  hole.swallow();
  hole.letNewThrough();
  // A half of queryTimeout each, if every dead connection were tried.
  const reads = Promise.all([bus.backlog('/a'), bus.globalBacklog(), bus.lastId('/a'), bus.getMessage('/a', 1)]);
  t.match(await reads, [[{ data: 1 }], [{ data: 1 }], 1, { data: 1 }]);
  const { ms } = await timed(bus.getMessage('/a', 1));
  t.ok(ms < 2_000, 'what is asked after that meets no dead one');
});

t.test(
  'a publish on a dead connection is answered before queryTimeout, and what waits behind it goes on',
  async (t) => {
    const database = await createDatabase(t);
    const hole = await startBlackHole(t, database.url);
    const bus = openBus(t, hole.url, { queryTimeout: 3_000, keepaliveInterval: 0 });
    await bus.publish('/a', 1);
    hole.swallow();
    hole.letNewThrough();
    const lost = bus.publish('/a', 'lost');
    await new Promise((resolve) => setImmediate(resolve));
    const behind = bus.publish('/a', 'behind');
    const started = performance.now();
    await t.rejects(lost, { code: 'POSTBUS_CONNECTION_LOST', statusCode: 503 });
    t.ok(performance.now() - started < 2_900, 'in two thirds of it');
    await behind;
    t.equal((await bus.lastMessage('/a'))?.data, 'behind');
  },
);

t.test('a database that is slow is asked twice at the most, and once when that is known', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url, { queryTimeout: 4_000, keepaliveInterval: 0 });
  await database.query('create sequence asked');
  await database.query('alter function message_bus.read_global rename to hidden');
  await database.query(`create function message_bus.read_global(after_global_id bigint)
    returns table (last_global_id bigint, message_id bigint, up_to bigint) language sql
    as 'select pg_sleep(2.3), nextval(''public.asked''); select 0::bigint, null::bigint, 0::bigint'`);
  const asked = async () => Number((await database.query('select last_value from asked'))[0]?.last_value);
  // 2.3 s are more than either attempt has.
  await t.rejects(bus.globalBacklog(), { code: 'POSTBUS_CONNECTION_LOST' });
  t.strictSame(await bus.globalBacklog(), []);
  await until(async () => (await asked()) === 3, 'the first one was asked twice');
});

t.test('when the listening connection falls silent, so do the others: it is noticed within seconds', async (t) => {
  const database = await createDatabase(t);
  const hole = await startBlackHole(t, database.url);
  const pool = new pg.Pool({ connectionString: hole.url, application_name: 'postbus', idleTimeoutMillis: 0 });
  pool.on('error', () => {});
  t.teardown(() => pool.end());
  const bus = openBus(t, '', { pool, queryTimeout: 60_000 });
  const received: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  await until(() => bus.isConnected, 'it listens');
  await warm(bus, database);
  hole.swallow();
  hole.letNewThrough();
  await database.query(`select message_bus.publish('/a', '1')`);
  // Nobody asks anything: what there is to find out, the listening connection finds out.
  const { ms } = await timed(until(() => received.length === 1, 'the message came'));
  t.ok(ms < 20_000, `after ${ms} ms`);
  t.match(bus.log, [{ details: { err: { code: 'POSTBUS_CONNECTION_LOST' } } }]);
  t.equal(pool.ending, false);
  await until(async () => (await timed(pool.query('select 1'))).ms < 1_000, 'the pool has no dead connection left');
  t.equal(await bus.publish('/a', 2), 2);
});

t.test('a connection that breaks in a transaction rejects it, and ends nothing else', async (t) => {
  const database = await createDatabase(t);
  const postgres = new PooledPostgres({ connectionString: database.url }, () => {});
  t.teardown(() => postgres.close());
  await t.rejects(
    postgres.transaction(async (run) => {
      await run('select pg_terminate_backend(pg_backend_pid())');
    }),
  );
  const hole = await startBlackHole(t, database.url);
  const other = new PooledPostgres({ connectionString: hole.url }, () => {});
  const transaction = other.transaction(async (run) => {
    hole.swallow();
    await run('select 1');
  });
  await Promise.all([t.rejects(transaction), other.close()]);
});
