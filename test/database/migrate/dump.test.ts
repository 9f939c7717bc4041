import t, { type Test } from 'tap';
import { openBus } from '../../helpers/bus.js';
import { describeSchema } from '../../helpers/catalog.js';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { createRole } from '../../helpers/role.js';
import { until } from '../../helpers/until.js';
import { openSession } from '../../sql/session.js';
import { copyByDump, whyNoDump } from './fixtures/pg-dump.js';
import { createReleasedSchema } from './fixtures/released-schema.js';

/** What a dump without data and rights, such as Rails' structure.sql, leaves of the schema. */
async function emptyAll({ query }: TestDatabase): Promise<void> {
  await query(`do $$
    declare o regclass;
    begin
      for o in select oid from pg_class where relnamespace = 'message_bus'::regnamespace and relkind = 'r' loop
        execute format('truncate %s restart identity', o);
      end loop;
      alter sequence message_bus.newest_global_id restart;
      update pg_proc set proacl = null where pronamespace = 'message_bus'::regnamespace;
      update pg_type set typacl = null where typnamespace = 'message_bus'::regnamespace;
    end $$`);
}

/** The schema, but for the numbers of columns: those that were dropped count until a restore. */
async function describe(database: TestDatabase): Promise<string[]> {
  const lines = await describeSchema(database, 'message_bus');
  return lines.map((line) => line.replace(/^(column .*)\.\d+\./, '$1.')).sort();
}

/** A bus that begins anew: it publishes from 1 on, wakes subscribers, and can be migrated again. */
async function isComplete(t: Test, database: TestDatabase): Promise<void> {
  const bus = openBus(t, database.url);
  const heard: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => heard.push(data));
  t.equal(await bus.publish('/a', 'first'), 1);
  await until(() => heard.length > 0, 'the message arrives');
  t.match(await bus.globalBacklog(), [{ globalId: 1 }]);
  await bus.migrate();
  t.strictSame(bus.log, []);
}

t.test('migrate completes a schema that comes from a dump without data, with a key of its own', async (t) => {
  const [made, database] = [await createDatabase(t), await createDatabase(t)];
  const [{ key: before } = {}] = await database.query('select notify_key as key from message_bus.settings');
  await emptyAll(database);
  const bus = openBus(t, database.url);
  await bus.migrate();
  t.match(bus.log, [{ details: { mended: ['the records of the migrations', /row of bus/] } }]);
  t.strictSame(await describeSchema(database, 'message_bus'), await describeSchema(made, 'message_bus'));
  const names = 'select name from message_bus.schema_migration order by 1';
  t.strictSame(await database.query(names), await made.query(names));
  const [{ key: after } = {}] = await database.query('select notify_key as key from message_bus.settings');
  t.notSame(after, before);
  await isComplete(t, database);
});

t.test('migrate completes the schema of an earlier version that comes from a dump without data', async (t) => {
  const [made, database] = [await createDatabase(t), await createDatabase(t, { migrated: false })];
  await createReleasedSchema(database);
  await emptyAll(database);
  await openBus(t, database.url).migrate();
  t.strictSame(await describe(database), await describe(made));
  await isComplete(t, database);
});

t.test('migrate refuses a dump without data of a newer version', async (t) => {
  const database = await createDatabase(t);
  await emptyAll(database);
  await database.query(`create or replace function message_bus.migrated_by() returns jsonb language sql immutable as
    $$ select '{"migration": "9999_from_the_future", "digest": "", "functions": ""}'::jsonb $$`);
  await t.rejects(openBus(t, database.url).migrate(), {
    code: 'POSTBUS_NEWER_SCHEMA',
    message: /9999_from_the_future/,
  });
});

t.test('migrate brings the schema of an earlier version up to date, with the rights that were granted', async (t) => {
  const [made, database] = [await createDatabase(t), await createDatabase(t, { migrated: false })];
  const { role } = await createRole(t, database);
  await createReleasedSchema(database);
  await database.query(`grant usage on schema message_bus to ${role}; grant execute on function message_bus.configure to public;
    grant execute on function message_bus.node_state, message_bus.configuration, message_bus.last_id to ${role}`);
  const bus = openBus(t, database.url);
  await bus.migrate();
  t.strictSame(bus.log, []);
  const rights = await database.query(
    `select p.proname::text as name, case a.grantee when 0 then 'public' else a.grantee::regrole::text end as grantee
    from pg_proc p cross join aclexplode(p.proacl) a where p.pronamespace = 'message_bus'::regnamespace and a.grantee <> p.proowner order by 1`,
  );
  t.strictSame(rights, [
    { name: 'configuration', grantee: role },
    { name: 'configure', grantee: 'public' },
    { name: 'last_id', grantee: role },
    { name: 'node_state', grantee: role },
  ]);
  const functions = `select p.oid::regprocedure::text from pg_proc p where p.pronamespace = 'message_bus'::regnamespace order by 1`;
  t.strictSame(await database.query(functions), await made.query(functions));
});

t.test('migrate names what of an application keeps it from changing a function', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  await createReleasedSchema(database);
  await database.query('create view settings_shown as select * from message_bus.configuration()');
  const bus = openBus(t, database.url);
  await t.rejects(bus.migrate(), {
    code: 'POSTBUS_QUERY_FAILED',
    message: /settings_shown depends on function configuration/,
  });
  await database.query('drop view settings_shown');
  await bus.migrate();
});

const skip = await whyNoDump();

t.test('a schema restored by pg_dump --schema-only --no-owner --no-privileges is completed', { skip }, async (t) => {
  const [from, to] = [await createDatabase(t), await createDatabase(t, { migrated: false })];
  await openBus(t, from.url).publish('/a', 'of another database');
  const options = ['--schema-only', '--no-owner', '--no-privileges'];
  await copyByDump(from, to, { dump: options, restore: options });
  await openBus(t, to.url).migrate();
  t.strictSame(await describe(to), await describe(from));
  await isComplete(t, to);
});

t.test(
  'data restored by pg_restore --data-only --disable-triggers can be read and gone on with',
  { skip },
  async (t) => {
    const [from, to] = [await createDatabase(t), await createDatabase(t)];
    const source = openBus(t, from.url);
    await source.configure({ maxGlobalBacklogSize: 50 });
    for (let i = 0; i < 70; i++) await source.publish(`/${i % 3}`, i);
    await copyByDump(from, to, { dump: ['--data-only'], restore: ['--data-only', '--disable-triggers'] });
    const bus = openBus(t, to.url);
    await bus.migrate();
    t.match(bus.log, [{ details: { mended: ['the trigger announce', 'the trigger publish_outbox'] } }]);
    t.equal(await bus.publish('/0', 'next'), 25);
    t.equal(await bus.publish('/new', 'next'), 1);
    t.strictSame(
      (await bus.globalBacklog()).map(({ globalId }) => globalId),
      Array.from({ length: 72 }, (_, i) => i + 1),
    );
    const { client } = await openSession(t, to.url);
    await client.query('set session_replication_role = replica');
    await client.query(`select message_bus.publish('/0', '"as a replica"')`);
    t.equal((await bus.globalBacklog()).at(-1)?.data, 'as a replica');
  },
);
