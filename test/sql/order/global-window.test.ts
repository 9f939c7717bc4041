import { readFile } from 'node:fs/promises';
import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { until } from '../../helpers/until.js';
import { openSession } from '../session.js';
import { globalIds, publishList, upTo } from './global-ids.js';

const windowSize = 40;
// In the window a row holds this many messages of a list.
const rowSize = 16;

t.test('the global window holds the last messages, however long the lists that they came in', async (t) => {
  const { url } = await createDatabase(t);
  const session = await openSession(t, url);
  await session.client.query(`select message_bus.configure(max_global_backlog_size => ${windowSize})`);
  let last = 0;
  for (let round = 0; round < 150; round++) {
    const length = pick([1, 2, rowSize - 1, rowSize, rowSize + 1, windowSize, windowSize + rowSize, 3 * windowSize]);
    if (Math.random() < 0.4) {
      await session.client.query(`select message_bus.publish('/single', '1')`);
      last += 1;
    } else {
      await publishList(session, length);
      last += length;
    }
    t.strictSame(await globalIds(session), upTo(last, windowSize), `${length} more`);
    const after = Math.max(0, last - 1 - Math.floor(Math.random() * windowSize));
    t.strictSame(await globalIds(session, after), upTo(last, last - after));
  }
});

t.test('a window that was made smaller does not show again what it had let go of', async (t) => {
  const { url } = await createDatabase(t);
  const session = await openSession(t, url);
  const resize = (size: number) =>
    session.client.query(`select message_bus.configure(max_global_backlog_size => ${size})`);
  await resize(windowSize);
  let last = 0;
  for (let round = 0; round < 20; round++) {
    await publishList(session, 50);
    last += 50;
    const small = 1 + Math.floor(Math.random() * windowSize);
    await resize(small);
    t.strictSame(await globalIds(session), upTo(last, small));
    const large = windowSize + Math.floor(Math.random() * windowSize);
    await resize(large);
    const shown = await globalIds(session);
    // Those that the smaller one had room for, or a few that lay in one row with them.
    t.ok(shown.length >= small && shown.length < small + rowSize, `${small}, then ${large}: ${shown.length}`);
    t.strictSame(shown, upTo(last, shown.length));
    await publishList(session, 30);
    last += 30;
    t.strictSame(await globalIds(session), upTo(last, Math.min(large, shown.length + 30)));
    await resize(windowSize);
  }
});

t.test('the sequence that tells the row of the last global id may tell anything', async (t) => {
  const { url } = await createDatabase(t);
  const session = await openSession(t, url);
  await session.client.query(`select message_bus.configure(max_global_backlog_size => ${windowSize})`);
  let last = 0;
  for (const hint of [1, 15, 16, 31, 47, 1_000, 2 ** 40]) {
    for (const length of [1, 7, 16]) {
      await session.client.query(`select setval('message_bus.newest_global_id', ${hint})`);
      t.strictSame(await globalIds(session), upTo(last, windowSize), `${hint}, read`);
      await publishList(session, length);
      last += length;
      await session.client.query(`select setval('message_bus.newest_global_id', ${hint})`);
      await session.client.query(`select message_bus.publish('/single', '1')`);
      last += 1;
      t.strictSame(await globalIds(session), upTo(last, windowSize), `${hint}, then ${length} + 1`);
    }
  }
});

t.test('the last global id is that of the snapshot of a statement, though the sequence has moved on', async (t) => {
  const database = await createDatabase(t);
  const [publisher, reader] = [await openSession(t, database.url), await openSession(t, database.url)];
  await publishList(publisher, 5);
  await publisher.client.query('select pg_advisory_lock(1)');
  await reader.client.query('set search_path = message_bus');
  const reading = reader.value('select last_global_id() from pg_advisory_lock(1)');
  await until(async () => {
    const [row] = await database.query(
      `select count(*)::int as waiting from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`,
    );
    return row?.waiting === 1;
  }, 'the reader has its snapshot');
  await publishList(publisher, 20);
  await publisher.client.query('select pg_advisory_unlock(1)');
  t.equal(await reading, 5);
  t.equal(await reader.value('select last_global_id()'), 25);
});

t.test('the window can be given another size by a transaction that others wait for', async (t) => {
  const { url } = await createDatabase(t);
  const session = await openSession(t, url);
  const other = await openSession(t, url);
  await publishList(session, 100);
  await session.client.query('begin');
  await publishList(session, 10);
  const single = other.client.query(`select message_bus.publish('/single', '1')`);
  await until(
    async () =>
      (await session.value(
        `select count(*) from pg_locks where not granted and relation = 'message_bus.turn'::regclass`,
      )) === 1,
    'it waits for its turn',
  );
  await session.client.query(`select message_bus.configure(max_global_backlog_size => ${windowSize})`);
  await session.client.query('commit');
  await single;
  t.strictSame(await globalIds(session), upTo(111, windowSize));
});

t.test('messages of a schema as the first two migrations leave it are still there after the others', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  await makeFirstSchema(database);
  const bus = openBus(t, database.url);
  await bus.migrate();
  const session = await openSession(t, database.url);
  t.strictSame(await globalIds(session), upTo(2_500, 2_000));
  t.strictSame(await globalIds(session, 2_497), [2_498, 2_499, 2_500]);
  t.match(await bus.backlog('/old', 2_499), [{ messageId: 2_500, globalId: 2_500, data: 2_500 }]);

  t.equal(await bus.publish('/old', 'new'), 2_501);
  await publishList(session, 100);
  t.strictSame(await globalIds(session), upTo(2_601, 2_000));
  t.match((await bus.globalBacklog(2_499)).slice(0, 2), [{ data: 2_500 }, { data: 'new' }]);
  // Once around: now rows of lists are overwritten.
  for (let list = 0; list < 125; list++) await publishList(session, rowSize);
  for (let last = 4_602; last < 4_610; last++) {
    await bus.publish('/old', last);
    t.strictSame(await globalIds(session), upTo(last, 2_000));
  }
});

// As publishers wrote lists of 40 messages before: rows by place in the list, in the slot of their first message, or by block.
const ringsBefore = {
  list: `insert into global_ring
    select min(n) % ring_size, min(n), array_agg(1), array_agg(n order by n) from bus, generate_series(2501, 2540) n
    group by (n - 2501) / 16, ring_size
    on conflict (slot) do update set
      global_id = excluded.global_id, channel_ids = excluded.channel_ids, message_ids = excluded.message_ids`,
  block: `update bus set ring_size = 126;
    delete from global_ring;
    insert into global_ring
    select min(n) / 16 % 126, min(n), array_agg(1), array_agg(n order by n) from generate_series(501, 2540) n
    group by n / 16 having min(n) / 16 > 2540 / 16 - 126`,
};
for (const [shape, write] of Object.entries(ringsBefore)) {
  t.test(`a migration waits for who is publishing, and finds rows by ${shape}`, async (t) => {
    const database = await createDatabase(t, { migrated: false });
    await makeFirstSchema(database);
    const older = await openSession(t, database.url);
    await database.query(
      `set search_path = message_bus; ${await migration('0003_cheaper_lists')}; ${await migration('0004_relay_outbox')}; reset search_path`,
    );
    await database.query(
      `insert into message_bus.schema_migration values ('0003_cheaper_lists', '2026-01-03'), ('0004_relay_outbox', '2026-01-04')`,
    );
    await older.client.query(`
      begin;
      set local search_path = message_bus;
      lock table turn in share update exclusive mode;
      update bus set last_global_id = 2540;
      update channels set last_id = 2540;
      insert into messages (channel_id, slot, message_id, global_id, published_at, data)
        select 1, n % 2000, n, n, now(), to_jsonb(n) from generate_series(2501, 2540) n
        on conflict (channel_id, slot) do update set
          message_id = excluded.message_id, global_id = excluded.global_id, published_at = excluded.published_at, data = excluded.data;
      ${write}`);
    const bus = openBus(t, database.url);
    const migrated = bus.migrate();
    await until(async () => (await database.query('select from pg_locks where not granted')).length > 0, 'it waits');
    await older.client.query('commit');
    await migrated;
    t.strictSame(await globalIds(older), upTo(2_540, 2_000));
    await bus.publish('/old', 'new');
    t.strictSame(await globalIds(older), upTo(2_541, 2_000));
    for (const size of [3_000, 100]) await bus.configure({ maxGlobalBacklogSize: size });
    t.strictSame(await globalIds(older), upTo(2_541, 100));
  });
}

function migration(name: string): Promise<string> {
  return readFile(new URL(`../../../migrations/${name}.sql`, import.meta.url), 'utf8');
}

/** With 2500 messages of one channel in it, of which the limits keep 1000, and 2000 in the window. */
async function makeFirstSchema({ query }: Awaited<ReturnType<typeof createDatabase>>): Promise<void> {
  await query('create schema message_bus');
  for (const name of ['0001_tables', '0002_sweep']) {
    await query(`set search_path = message_bus; ${await migration(name)}; reset search_path`);
  }
  await query(`
    create table message_bus.schema_migration (name varchar(255) not null primary key, timestamp varchar(255) not null);
    create table message_bus.schema_migration_lock (id varchar(255) not null primary key, is_locked integer not null default 0);
    insert into message_bus.schema_migration_lock values ('migration_lock', 0);
    insert into message_bus.schema_migration values ('0001_tables', '2026-01-01'), ('0002_sweep', '2026-01-02');
    insert into message_bus.channels (site_id, channel, last_id, ring_size) values ('', '/old', 2500, 2000);
    update message_bus.settings set max_backlog_size = 2000;
    insert into message_bus.messages (channel_id, slot, message_id, global_id, published_at, data)
      select 1, n % 2000, n, n, now(), to_jsonb(n) from generate_series(501, 2500) n;
    insert into message_bus.global_ring select n % 2000, n, 1, n from generate_series(501, 2500) n;
    update message_bus.bus set last_global_id = 2500`);
}

function pick<T>(list: readonly [T, ...T[]]): T {
  return list[Math.floor(Math.random() * list.length)] ?? list[0];
}
