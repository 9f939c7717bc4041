import t, { type Test } from 'tap';
import { migrate } from '../../../src/database/migrate/migrate.js';
import { PooledPostgres } from '../../../src/database/pooled-postgres.js';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { createRole } from '../../helpers/role.js';
import { until } from '../../helpers/until.js';
import { openSession } from '../../sql/session.js';

/** As bus.migrate(), with less patience. */
async function migrateSoon(t: Test, connectionString: string): Promise<void> {
  const postgres = new PooledPostgres({ connectionString }, () => {});
  t.teardown(() => postgres.close());
  await migrate((run) => postgres.transaction(run), 'message_bus', { migratorMs: 300, tableMs: 300 });
}

t.test('a role that may only connect cannot keep anybody from migrating', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const { url } = await createRole(t, database);
  const { client } = await openSession(t, url);
  const names = ['postbus migrate message_bus', 'postbus demo', 'message_bus'];
  for (const name of names) await client.query('select pg_advisory_lock(hashtextextended($1, 0))', [name]);
  await client.query(
    'begin; lock table pg_catalog.pg_class, pg_catalog.pg_proc, pg_catalog.pg_namespace in access share mode',
  );
  await migrateSoon(t, database.url);
  await database.query('drop function message_bus.publish');
  await migrateSoon(t, database.url);
  await t.rejects(client.query('lock table message_bus.schema_migration_lock'), { code: '42501' });
});

t.test('the table that migrators lock is the owner’s alone, whatever was granted', async (t) => {
  const database = await createDatabase(t);
  const { role, url } = await createRole(t, database);
  await database.query(`grant usage on schema message_bus to ${role}; grant all on all tables in schema message_bus to ${role};
    drop function message_bus.publish`);
  await migrateSoon(t, database.url);
  const { client } = await openSession(t, url);
  await t.rejects(client.query('begin; lock table message_bus.schema_migration_lock'), { code: '42501' });
});

t.test('a migrator that waits too long for another one is told so, and by whom it is held up', async (t) => {
  const database = await createDatabase(t);
  await database.query('drop function message_bus.publish');
  const { client, value } = await openSession(t, database.url);
  await client.query('begin; lock table message_bus.schema_migration_lock in share update exclusive mode');
  const pid = await value('select pg_backend_pid()');
  await t.rejects(migrateSoon(t, database.url), {
    code: 'POSTBUS_MIGRATION_LOCKED',
    message: new RegExp(`"message_bus" was not migrated.*pid ${pid} of `),
  });
  await client.query('commit');
  await migrateSoon(t, database.url);
});

t.test('migrators that wait for one that creates the schema, or its first table, find it done', async (t) => {
  for (const first of [
    'create schema message_bus',
    'create table message_bus.schema_migration_lock (id varchar(255) not null primary key, is_locked integer not null default 0)',
  ]) {
    const database = await createDatabase(t, { migrated: false });
    if (first.startsWith('create table')) await database.query('create schema message_bus');
    const { client } = await openSession(t, database.url);
    await client.query(`begin; ${first}`);
    await t.rejects(migrateSoon(t, database.url), { code: 'POSTBUS_MIGRATION_LOCKED', message: /another session|pid/ });
    const buses = [openBus(t, database.url), openBus(t, database.url)];
    const migrations = buses.map((bus) => bus.migrate());
    await until(
      async () =>
        (
          await database.query(
            `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          )
        ).length === 2,
      'both wait',
    );
    await client.query('commit');
    await Promise.all(migrations);
    t.equal(await buses[0]?.publish('/a', 1), 1);
  }
});

t.test('a migration that an open transaction of a publisher is in the way of ends with its pid', async (t) => {
  const database = await createDatabase(t);
  const { client, value } = await openSession(t, database.url);
  // To enable it again takes a lock that those of publishers conflict with.
  await database.query('alter table message_bus.messages enable trigger announce');
  await client.query(`begin; select message_bus.publish('/a', '1')`);
  const pid = await value('select pg_backend_pid()');
  await t.rejects(migrateSoon(t, database.url), {
    code: 'POSTBUS_MIGRATION_LOCKED',
    message: new RegExp(`pid ${pid} of `),
  });
  await client.query('commit');
  await migrateSoon(t, database.url);
});
