import t from 'tap';
import { loadSchemaSql } from '../../../src/database/migrate/sql/load.js';
import { openBus } from '../../helpers/bus.js';
import { describeSchema } from '../../helpers/catalog.js';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { openSession } from '../../sql/session.js';

async function damage({ query }: TestDatabase): Promise<string[]> {
  return (await query<{ damage: string[] }>('select message_bus.schema_damage() as damage'))[0]?.damage ?? [];
}

t.test('migrate knows the names of all that it makes', async (t) => {
  const { query } = await createDatabase(t);
  const { functionNames, relationNames } = await loadSchemaSql();
  const functions = await query<{ name: string }>(
    `select distinct proname::text as name from pg_proc where pronamespace = 'message_bus'::regnamespace order by 1`,
  );
  t.strictSame(
    functions.map(({ name }) => name),
    [...functionNames].sort(),
  );
  const relations = await query<{ name: string }>(
    `select c.relname::text as name from pg_class c where c.relnamespace = 'message_bus'::regnamespace and c.relkind in ('r', 'c', 'S')
      and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'i' and d.refclassid = 'pg_class'::regclass) order by 1`,
  );
  t.strictSame(
    relations.map(({ name }) => name),
    [...relationNames].sort(),
  );
});

t.test('schema_damage() knows of every trigger and every key, and of none in a new schema', async (t) => {
  const database = await createDatabase(t);
  t.strictSame(await damage(database), []);
  const triggers = await database.query<{ drop: string }>(
    `select format('drop trigger %I on %s', tgname, tgrelid::regclass) as drop from pg_trigger g join pg_class c on c.oid = g.tgrelid
    where c.relnamespace = 'message_bus'::regnamespace and not g.tgisinternal`,
  );
  const keys = await database.query<{ drop: string }>(
    `select format('alter table %s drop constraint %I', conrelid::regclass, conname) as drop from pg_constraint
    where connamespace = 'message_bus'::regnamespace and contype in ('p', 'u') and conrelid::regclass::text !~ 'schema_migration'`,
  );
  t.equal(triggers.length, 8);
  t.ok(keys.length > 10);
  const before = await describeSchema(database, 'message_bus');
  const { client, value } = await openSession(t, database.url);
  for (const { drop } of [...triggers, ...keys]) {
    await client.query(`begin; ${drop}`);
    t.equal(await value('select cardinality(message_bus.schema_damage())'), 1, drop);
    await client.query('rollback');
  }
  for (const { drop } of [...triggers, ...keys]) await database.query(drop);
  t.equal((await damage(database)).length, triggers.length + keys.length);
  await openBus(t, database.url).migrate();
  t.strictSame(await damage(database), []);
  t.strictSame(await describeSchema(database, 'message_bus'), before, 'all is as it was');
});

t.test(
  'triggers that do not fire for everybody are mended, and what was not announced meanwhile is published',
  async (t) => {
    const database = await createDatabase(t);
    const bus = openBus(t, database.url);
    await bus.publish('/a', 'before');
    for (const how of ['disable trigger all', 'enable trigger all', 'enable replica trigger %', 'disable trigger %']) {
      const by = (name: string) => how.replace('%', name);
      await database.query(
        `alter table message_bus.messages ${by('announce')}; alter table message_bus.outbox ${by('publish_outbox')}`,
      );
      t.match(await damage(database), [/trigger announce/, /trigger publish_outbox/], how);
      const { client } = await openSession(t, database.url);
      await client.query(`set session_replication_role = ${how.includes('replica') ? 'origin' : 'replica'}`);
      await client.query(`select message_bus.publish('/a', '"${how} 1"'), message_bus.publish('/a', '"${how} 2"')`);
      await client.query(
        `begin; select message_bus.publish_later('/b', '"${how} 3"'); select message_bus.publish_later('/c', '"${how} 4"'); commit`,
      );
      const migrated = openBus(t, database.url);
      await migrated.migrate();
      t.match(migrated.log, [
        {
          details: {
            mended: ['the trigger announce', 'the trigger publish_outbox', '4 messages that were not announced'],
          },
        },
      ]);
      const enabled = await database.query(
        `select tgenabled from pg_trigger where tgname in ('announce', 'publish_outbox')`,
      );
      t.strictSame(enabled, [{ tgenabled: 'A' }, { tgenabled: 'A' }], how);
      t.strictSame(
        (await bus.globalBacklog()).slice(-4).map(({ data }) => data),
        [1, 2, 3, 4].map((n) => `${how} ${n}`),
      );
      await client.query(`select message_bus.publish('/a', '"once more"')`);
      t.equal((await bus.globalBacklog()).at(-1)?.data, 'once more', 'under the replica role, too');
    }
    t.strictSame(
      (await bus.globalBacklog()).map(({ globalId }) => globalId),
      Array.from({ length: 21 }, (_, i) => i + 1),
    );
  },
);

t.test('each row that a table has to have is put back, and ids go on', async (t) => {
  const database = await createDatabase(t);
  const tables = await database.query<{ name: string }>(
    `select attrelid::regclass::text as name from pg_attribute where attname = 'singleton' and attrelid in (
      select oid from pg_class where relnamespace = 'message_bus'::regnamespace and relkind = 'r') order by 1`,
  );
  t.ok(tables.length >= 4);
  let id = 0;
  for (const { name } of tables) {
    await openBus(t, database.url).publish('/a', name);
    id += 1;
    await database.query(`delete from ${name}`);
    t.match(await damage(database), [new RegExp(`the row of .*${name.replace('message_bus.', '')} is missing`)]);
    const bus = openBus(t, database.url);
    await bus.migrate();
    t.strictSame(await damage(database), []);
    t.match(await bus.publish('/a', 'after'), ++id, name);
    t.match((await bus.globalBacklog()).at(-1), { globalId: id, data: 'after' }, name);
    t.equal((await bus.backlog('/a')).length, id, 'nothing was lost');
  }
});

t.test('no id is given out twice if tables were emptied or restored without the others', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  for (let i = 0; i < 40; i++) await bus.publish(`/${i % 4}`, i);
  const last = async () => (await bus.globalBacklog()).at(-1)?.globalId;
  t.equal(await last(), 40);

  await database.query(`delete from message_bus.settings; truncate message_bus.bus, message_bus.global_ring;
    alter sequence message_bus.newest_global_id restart; alter sequence message_bus.channels_id_seq restart`);
  t.match(await damage(database), [/bus/, /settings/, /new channels/]);
  await bus.migrate();
  t.equal(await bus.publish('/0', 'next'), 11);
  t.equal(await bus.publish('/new', 'next'), 1);
  t.equal(await last(), 42);
  t.equal((await bus.globalBacklog()).length, 42);

  await database.query(`update message_bus.channels set last_id = 3 where channel = '/0'; delete from message_bus.channels where channel = '/new';
    delete from message_bus.bus; alter sequence message_bus.channels_id_seq restart`);
  await bus.migrate();
  t.equal(await bus.publish('/0', 'next'), 12);
  t.ok(Number(await bus.publish('/new', 'again')) > 1, 'whatever the id was before');
  t.strictSame(
    (await bus.backlog('/new')).map(({ data }) => data),
    ['again'],
  );
  t.equal(await last(), 44);
});

t.test('ids of channels that were forgotten are not given out again if what is known of them is lost', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  for (let i = 0; i < 5; i++) await bus.publish('/once', i);
  await bus.publish('/kept', 0);
  await bus.expireAllBacklogs();
  await database.query(`update message_bus.channels set last_published_at = '-infinity' where channel = '/once'`);
  await database.query(`select message_bus.forget_channels('1 day')`);
  await database.query('delete from message_bus.forgotten');
  t.strictSame(await damage(database), ['rows of forgotten are missing']);
  await bus.migrate();
  t.strictSame(await damage(database), []);
  t.ok(Number(await bus.publish('/once', 'again')) > 5);
  t.equal(await bus.publish('/kept', 1), 2);
});

t.test('the window over all channels is built anew where its rows do not fit its size', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  await bus.configure({ maxGlobalBacklogSize: 100 });
  for (let i = 0; i < 150; i++) await bus.publish('/a', i);
  const before = await bus.globalBacklog();
  t.equal(before.length, 100);
  // As a restore into a bus that has settings of its own leaves them.
  await database.query(
    `update message_bus.settings set max_global_backlog_size = 2000; update message_bus.bus set ring_size = 126, passed_global_id = 50`,
  );
  await database.query('drop function message_bus.reset');
  await bus.migrate();
  t.strictSame(await bus.globalBacklog(), before);
  t.equal(await bus.publish('/a', 'next'), 151);
  t.equal((await bus.globalBacklog()).at(-1)?.globalId, 151);
});

t.test('damage that cannot be mended is told of, and nothing is changed', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  await bus.publish('/a', 1);
  await database.query(
    `alter table message_bus.messages drop constraint messages_pkey; insert into message_bus.messages select * from message_bus.messages`,
  );
  await t.rejects(bus.migrate(), {
    code: 'POSTBUS_DAMAGED_SCHEMA',
    message: /messages have the same channel_id, slot/,
  });
  await database.query('drop table message_bus.messages cascade');
  await t.rejects(bus.migrate(), { code: 'POSTBUS_DAMAGED_SCHEMA', message: /missing: messages/ });
});

t.test('an index that is not valid is made anew', async (t) => {
  const database = await createDatabase(t);
  await database.query(
    `update pg_index set indisvalid = false where indexrelid = 'message_bus.channels_pkey'::regclass`,
  );
  t.strictSame(await damage(database), ['the key of channels (id) is not valid']);
  await openBus(t, database.url).migrate();
  t.strictSame(await damage(database), []);
});
