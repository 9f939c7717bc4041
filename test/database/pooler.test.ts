import pg from 'pg';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { eventsOf, openBus } from '../helpers/bus.js';
import { start } from '../helpers/command.js';
import { createDatabase, type TestDatabase } from '../helpers/database.js';
import { blocksOf, readPage } from '../helpers/documentation.js';
import { runProgram } from '../helpers/documented-program.js';
import { startPgbouncer, withoutPgbouncer } from '../helpers/pgbouncer.js';
import { listen, poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const skip = withoutPgbouncer;
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

/** Connections of an application. */
function openPool(t: Test, url: string, max: number): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max });
  pool.on('error', () => {});
  t.teardown(() => pool.end());
  return pool;
}

async function dataOf(database: TestDatabase, channel: string): Promise<unknown[]> {
  const rows = await database.query<{ data: unknown }>('select data from message_bus.backlog($1)', [channel]);
  return rows.map(({ data }) => data);
}

t.test('programs publish through a pooler in transaction mode', { skip }, async (t) => {
  const database = await createDatabase(t);
  const pooled = await startPgbouncer(t, database.url, { mode: 'transaction', size: 3 });
  const pool = openPool(t, pooled, 20);
  const publish = (i: number) =>
    pool.query<{ id: string }>(`select message_bus.publish('/a', to_jsonb($1::int)) as id`, [i]);
  const ids = (await Promise.all(numbers(100).map(publish))).map(({ rows }) => Number(rows[0]?.id));
  t.strictSame(
    ids.sort((a, b) => a - b),
    numbers(100),
  );

  const many = JSON.stringify(numbers(3).map((data) => ({ channel: '/many', data })));
  const { rows } = await pool.query('select message_bus.publish_many($1) as ids', [many]);
  t.strictSame(rows, [{ ids: ['1', '2', '3'] }]);

  await Promise.all(
    numbers(40).map(async (i) => {
      const client = await pool.connect();
      await client.query('begin');
      await client.query(`select message_bus.publish_later('/later', to_jsonb($1::int))`, [i]);
      await client.query(`select message_bus.publish_later('/later', to_jsonb($1::int))`, [i]);
      await client.query(i % 4 === 0 ? 'rollback' : 'commit');
      client.release();
    }),
  );
  const later = (await dataOf(database, '/later')).map(Number);
  t.strictSame(
    later.filter((_, i) => i % 2 === 0),
    later.filter((_, i) => i % 2 === 1),
    'those of a transaction come together',
  );
  t.strictSame(
    [...new Set(later)].sort((a, b) => a - b),
    numbers(40).filter((i) => i % 4 !== 0),
  );
  await pool.query(`select message_bus.publish_later('/later', '"alone"')`);
  t.equal((await dataOf(database, '/later')).at(-1), 'alone');
});

t.test('a node behind a pooler, which listens past it', { skip }, async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const pooled = await startPgbouncer(t, database.url, { mode: 'transaction', size: 4 });
  const listenConnectionString = database.url;
  const migrators = numbers(3).map(() => openBus(t, pooled));
  await Promise.all(migrators.map((bus) => bus.migrate()));

  const [bus, other] = numbers(2).map(() => openBus(t, pooled, { listenConnectionString }));
  if (!bus || !other) throw new Error('two');
  const told = eventsOf(bus);
  const received: unknown[] = [];
  const all: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  await other.subscribe(null, ({ data }) => all.push(data));
  await until(() => bus.isConnected && other.isConnected, 'they listen');
  t.type((await bus.diagnostics()).listener.heardItselfAt, 'string', 'it hears itself');

  // More at a time than there are connections: each finds other statements prepared than it has left.
  const ids = await Promise.all(numbers(300).map((i) => (i % 2 === 0 ? bus : other).publish('/a', i)));
  t.strictSame(
    ids.sort((a, b) => a - b),
    numbers(300),
  );
  await until(() => received.length === 300 && all.length === 300, 'all have come');
  const reads = numbers(50).map((i) =>
    Promise.all([bus.backlog('/a', 300 - i), bus.lastId(`/${i}`), other.getMessage('/a', i)]),
  );
  for (const [i, [backlog, lastId, message]] of (await Promise.all(reads)).entries())
    t.strictSame([backlog.length, lastId, message?.messageId], [i + 1, 0, i + 1]);

  const { url } = await listen(t, { bus });
  t.equal((await poll(url, { '/a': 0 })).messages.length, 300);
  const parked = poll(url, { '/b': 0 });
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 2, 'it waits');
  await other.publish('/b', 'live');
  t.match((await parked).messages, [{ message_id: 1, data: 'live' }]);

  await bus.configure({ relay: true });
  const pool = openPool(t, pooled, 5);
  const later = (i: number) => pool.query(`select message_bus.publish_later('/a', to_jsonb($1::text))`, [`later ${i}`]);
  await Promise.all(numbers(50).map(later));
  await until(() => received.length === 350, 'they are relayed');
  await other.close();
  await Promise.all(numbers(50).map(later));
  await until(() => received.length === 400, 'also by the other one');
  t.strictSame(told, ['connected']);
  t.strictSame(bus.log, []);
});

t.test('the program of docs/poolers.md, and the command line', { skip }, async (t) => {
  const database = await createDatabase(t);
  const pooled = await startPgbouncer(t, database.url, { mode: 'transaction', size: 3 });
  const [program] = blocksOf(await readPage('docs/poolers.md')).filter(({ language }) => language === 'ts');
  process.env.LISTEN_DATABASE_URL = database.url;
  t.teardown(() => {
    delete process.env.LISTEN_DATABASE_URL;
  });
  const { output } = await runProgram(t, program?.text ?? '', pooled);
  await until(() => output().includes("{ status: 'paid' }"), 'it hears what it has published');

  const args = ['subscribe', '/b', '--last-id', '0', '--database-url', pooled, '--listen-database-url', database.url];
  const command = start(t, args);
  const publish = (data: string) => database.query(`select message_bus.publish('/b', to_jsonb($1::text))`, [data]);
  for (const data of ['one', 'two']) {
    await publish(data);
    await until(() => command.stdout().includes(data), 'it is printed');
  }
  const listeners = await database.query(
    `select client_port from pg_stat_activity where application_name = 'postbus listener' and datname = current_database()`,
  );
  t.equal(listeners.length, 2, 'each listens on a connection of its own');
  t.notMatch(output() + command.stderr(), 'POSTBUS_POOLER');
});
