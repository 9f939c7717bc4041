import pg from 'pg';
import t from 'tap';
import { migrate } from '../../../src/database/migrate/migrate.js';
import { PooledPostgres } from '../../../src/database/pooled-postgres.js';
import { openBus } from '../../helpers/bus.js';
import { startServer } from '../../helpers/command.js';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { runRolesScript } from '../../helpers/documented-roles.js';
import { createRole } from '../../helpers/role.js';
import { poll } from '../../helpers/server.js';
import { openSession } from '../../sql/session.js';

/** What changes with every row that is written in a database, catalogs included. */
async function written({ query }: TestDatabase): Promise<unknown> {
  const rows = await query(
    `select p.oid::regprocedure::text, p.xmin::text, p.ctid::text from pg_proc p where p.pronamespace = 'message_bus'::regnamespace
    union all select c.oid::regclass::text, c.xmin::text, c.ctid::text from pg_class c where c.relnamespace = 'message_bus'::regnamespace
    union all select 'schema', n.xmin::text, n.ctid::text from pg_namespace n where n.nspname = 'message_bus'
    union all select 'settings', s.xmin::text, s.ctid::text from message_bus.settings s order by 1, 2`,
  );
  return rows;
}

t.test('migrate writes nothing, and asks for no lock, if the schema is up to date', async (t) => {
  const database = await createDatabase(t);
  const before = await written(database);
  const { client } = await openSession(t, database.url);
  // Nobody else could lock any of these tables, not even for reading.
  await client.query(
    'begin; lock table message_bus.outbox, message_bus.schema_migration, message_bus.schema_migration_lock, message_bus.turn in share row exclusive mode',
  );
  await openBus(t, database.url).migrate();
  await client.query('rollback');
  t.strictSame(await written(database), before);

  const postgres = new PooledPostgres({ connectionString: database.url }, () => {});
  t.teardown(() => postgres.close());
  const report = await migrate(
    (run) =>
      postgres.transaction(async (statement) => {
        await run(statement);
        const rows = await statement('select pg_current_xact_id_if_assigned() as id');
        t.strictSame(rows, [{ id: null }], 'whoever writes a row, of a catalog too, has an id');
      }),
    'message_bus',
  );
  t.strictSame(report, { wasCurrent: true, migrations: [], mended: [] });
});

t.test('migrate runs on a database that is read-only, if the schema is up to date', async (t) => {
  const database = await createDatabase(t);
  await database.query(`alter database ${database.name} set default_transaction_read_only = on`);
  await openBus(t, database.url).migrate();
  const { client } = await openSession(t, database.url);
  await client.query('set default_transaction_read_only = off');
  await client.query('drop function message_bus.reset');
  await t.rejects(openBus(t, database.url).migrate(), {
    code: 'POSTBUS_READ_ONLY',
    message: /the schema "message_bus" is not up to date/,
  });
  await client.query('drop schema message_bus cascade');
  await t.rejects(openBus(t, database.url).migrate(), { code: 'POSTBUS_READ_ONLY' });
});

t.test('migrate finds that functions were changed or dropped, or opened by a restore without rights', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const before = await database.query(
    'select p.oid::regprocedure::text as name from pg_proc p where p.pronamespace = $1::regnamespace order by 1',
    ['message_bus'],
  );
  for (const damage of [
    'drop function message_bus.last_id',
    `create or replace function message_bus.last_id(channel text, site_id text default null) returns bigint language sql return 0`,
    `alter function message_bus.last_id set search_path = public`,
  ]) {
    await database.query(damage);
    await bus.migrate();
    const [row] = await database.query<{ text: string }>(
      `select pg_get_functiondef('message_bus.last_id'::regproc) as text`,
    );
    t.match(row?.text, /check_channel/, damage);
    t.match(row?.text, /SET search_path TO 'message_bus', 'pg_temp'/, damage);
  }
  t.strictSame(
    await database.query(
      'select p.oid::regprocedure::text as name from pg_proc p where p.pronamespace = $1::regnamespace order by 1',
      ['message_bus'],
    ),
    before,
  );

  // As pg_restore --no-privileges leaves it.
  const { role } = await createRole(t, database);
  await database.query(`grant execute on function message_bus.last_id to ${role};
    update pg_proc set proacl = null where oid = 'message_bus.node_state'::regproc;
    update pg_type set typacl = null where oid = 'message_bus.channels'::regtype`);
  await bus.migrate();
  const [may] = await database.query(
    `select has_function_privilege($1, 'message_bus.node_state'::regproc, 'execute') as state, has_type_privilege($1, 'message_bus.channels', 'usage') as type,
      has_function_privilege($1, 'message_bus.last_id'::regproc, 'execute') as granted`,
    [role],
  );
  t.strictSame(may, { state: false, type: false, granted: true });
});

t.test('a schema that was renamed is migrated, because its functions name it', async (t) => {
  const database = await createDatabase(t);
  await openBus(t, database.url).publish('/a', 1);
  await database.query('alter schema message_bus rename to renamed');
  const bus = openBus(t, database.url, { schema: 'renamed' });
  await bus.migrate();
  t.equal(await bus.publish('/a', 1), 2);
});

t.test('settings of a role or a database do not cut a migration short, nor change what it makes', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  for (const setting of [
    `statement_timeout = '50ms'`,
    `lock_timeout = '1ms'`,
    `idle_in_transaction_session_timeout = '1s'`,
    'standard_conforming_strings = off',
    'search_path = nowhere',
    'check_function_bodies = on',
    `client_min_messages = 'debug1'`,
  ])
    await database.query(`alter database ${database.name} set ${setting}`);
  const [{ version = 0 } = {}] = await database.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  );
  if (version >= 170000) await database.query(`alter database ${database.name} set transaction_timeout = '2s'`);
  await openBus(t, database.url).migrate();
  for (const name of [
    'statement_timeout',
    'lock_timeout',
    'idle_in_transaction_session_timeout',
    'standard_conforming_strings',
    'search_path',
    ...(version >= 170000 ? ['transaction_timeout'] : []),
  ])
    await database.query(`alter database ${database.name} reset ${name}`);
  t.equal(await openBus(t, database.url).publish('/a', 1), 1);
});

t.test('a pool that gives up its queries soon does not give up a migration', async (t) => {
  const database = await createDatabase(t);
  await database.query('alter table message_bus.messages enable trigger announce');
  const { client } = await openSession(t, database.url);
  await client.query(`begin; select message_bus.publish('/a', '1')`);
  const pool = new pg.Pool({ connectionString: database.url, query_timeout: 300 });
  t.teardown(() => pool.end());
  const migrated = openBus(t, database.url, { pool }).migrate();
  setTimeout(() => void client.query('commit'), 600);
  await migrated;
});

t.test('postbus serve starts as a role that may only run nodes, on a database that is read-only', async (t) => {
  const database = await createDatabase(t);
  const { node } = await runRolesScript(t, database, 'message_bus');
  await database.query(`select message_bus.publish('/a', '1')`);
  await database.query(`alter role ${node.role} set default_transaction_read_only = on`);
  const server = await startServer(t, [], { env: { DATABASE_URL: node.url } });
  t.match((await poll(server.url, { '/a': 0 })).messages, [{ message_id: 1, data: 1 }]);
});
