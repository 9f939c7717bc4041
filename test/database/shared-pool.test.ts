import pg from 'pg';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

async function open(t: Test, config: pg.PoolConfig, options: { migrated?: boolean } = {}) {
  const database = await createDatabase(t, options);
  const pool = new pg.Pool({ connectionString: database.url, ...config });
  pool.on('error', () => {});
  t.teardown(() => (pool.ending ? undefined : pool.end()));
  return { database, pool, bus: openBus(t, database.url, { pool }) };
}

t.test('a pool of one connection, shared with the application: all at once, and nothing waits for ever', async (t) => {
  const { pool, bus } = await open(t, { max: 1 }, { migrated: false });
  const other = openBus(t, '', { pool });
  await Promise.all([bus.migrate(), other.migrate(), pool.query('select 1'), bus.migrate()]);
  const { app, url } = await listen(t, { bus });
  const heard: unknown[] = [];
  await Promise.all([
    bus.subscribe('/a', ({ data }) => heard.push(data), { lastId: 0 }),
    bus.subscribe(null, ({ data }) => heard.push(data), { lastId: 0 }),
    ...numbers(20).map((i) => bus.publish('/a', i)),
    ...numbers(20).map(() => pool.query('select pg_sleep(0.005)')),
    ...numbers(20).map((i) => poll(url, { '/a': 0, [`/${i}`]: -1 }, { client: `c${i}` })),
    bus.backlog('/a'),
    bus.configure({ clearEvery: 10 }),
    bus.lastIds(['/a', '/b']),
    other.publish('/b', 'other'),
  ]);
  await until(() => heard.length === 41, 'both subscribers have all');
  const parked = numbers(20).map((i) => poll(url, { '/a': 20 }, { client: `p${i}` }));
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 22, 'the polls wait');
  // The application is inside a transaction of its own, on the only connection.
  const client = await pool.connect();
  await client.query('begin');
  const publishing = bus.publish('/a', 'after');
  await client.query(`select message_bus.publish('/a', '"within"')`);
  await client.query('commit');
  client.release();
  t.equal(await publishing, 22);
  for (const { messages } of await Promise.all(parked)) t.equal(messages[0]?.data, 'within');
  await Promise.all([app.close(), bus.close(), other.close()]);
  t.equal((await pool.query('select 1')).rowCount, 1, 'the pool is still its owner’s');
});

t.test(
  'a pool whose connections are all taken: who waits too long is told so, and gets through once one is back',
  async (t) => {
    const { database, pool, bus } = await open(t, { max: 2, connectionTimeoutMillis: 300 });
    const heard: unknown[] = [];
    await bus.subscribe('/a', ({ data }) => heard.push(data));
    await until(() => bus.isConnected, 'the bus listens');
    const { url } = await listen(t, { bus });
    const taken = [await pool.connect(), await pool.connect()];
    const refused = { code: 'POSTBUS_NO_SERVER' };
    await Promise.all([
      t.rejects(bus.publish('/a', 'too long'), refused),
      t.rejects(bus.backlog('/a'), refused),
      t.rejects(bus.lastId('/a'), refused),
      t.rejects(bus.migrate(), refused),
      t.rejects(
        bus.subscribe('/new', () => {}),
        refused,
      ),
      poll(url, { '/new': 0 }).then(({ status, text }) => {
        t.equal(status, 503);
        t.equal(JSON.parse(text).code, 'POSTBUS_NO_SERVER');
      }),
    ]);
    const parked = poll(url, { '/a': 0 });
    await until(
      () => internalsOf(bus).dispatcher.counts.cursors === 2,
      'a poll without news needs no connection to wait',
    );
    await database.query(`select message_bus.publish('/a', '"by SQL"')`);
    await until(() => heard.length === 1, 'what others publish arrives all the same');
    t.equal((await parked).messages[0]?.data, 'by SQL');
    const [publishing, reading] = [bus.publish('/a', 'patient'), bus.lastId('/b')];
    for (const client of taken) client.release();
    t.equal(await publishing, 2);
    t.equal(await reading, 0);
    await until(() => heard.length === 2, 'and what is published now');
  },
);

t.test('several buses in one process, on one schema and on two', async (t) => {
  const { database, pool } = await open(t, {});
  const first = openBus(t, '', { pool });
  const second = openBus(t, database.url);
  const elsewhere = openBus(t, '', { pool, schema: 'Another Bus' });
  await elsewhere.migrate();
  const heard = new Map<string, unknown[]>();
  for (const [name, bus] of Object.entries({ first, second, elsewhere })) {
    const data: unknown[] = [];
    heard.set(name, data);
    await bus.subscribe(null, (message) => data.push(message.data), { lastId: 0 });
    await until(() => bus.isConnected, `${name} listens`);
  }
  t.same(
    await Promise.all([first.publish('/a', 1), elsewhere.publish('/a', 'else')]),
    [1, 1],
    'ids are counted in each schema',
  );
  t.equal(await second.publish('/a', 2), 2);
  await until(() => ['first', 'second'].every((name) => heard.get(name)?.length === 2), 'both of a schema hear both');
  await first.close();
  t.equal(await second.publish('/a', 3), 3);
  t.equal(await elsewhere.publish('/a', 'more'), 2);
  await until(() => heard.get('second')?.length === 3 && heard.get('elsewhere')?.length === 2, 'the others go on');
  t.strictSame(Object.fromEntries(heard), { first: [1, 2], second: [1, 2, 3], elsewhere: ['else', 'more'] });
});

t.test('a pool that its owner ends first', async (t) => {
  const { pool, bus } = await open(t, {});
  const heard: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => heard.push(data));
  await until(() => bus.isConnected, 'the bus listens');
  const { url } = await listen(t, { bus });
  const publishing = Promise.allSettled([bus.publish('/a', 1)]);
  await pool.end();
  await publishing;
  const refused = { code: 'POSTBUS_POOL_ENDED' };
  await t.rejects(bus.publish('/a', 2), refused);
  await t.rejects(bus.backlog('/a'), refused);
  await t.rejects(bus.migrate(), refused);
  t.match(JSON.parse((await poll(url, { '/new': 0 })).text), { statusCode: 503, code: 'POSTBUS_POOL_ENDED' });
  await bus.close();
  await t.rejects(bus.publish('/a', 3), { code: 'POSTBUS_CLOSED' });
});
