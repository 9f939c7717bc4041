import { setTimeout as delay } from 'node:timers/promises';
import { Kysely, Migrator, PostgresDialect } from 'kysely';
import pg from 'pg';
import t from 'tap';
import { printMigration } from '../../../src/database/migrate/migrate.js';
import { openBus } from '../../helpers/bus.js';
import { describeSchema } from '../../helpers/catalog.js';
import { createDatabase } from '../../helpers/database.js';
import { createRole } from '../../helpers/role.js';
import { until } from '../../helpers/until.js';

t.test('eight migrators race on an empty database, and again on a full one', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  // Where this is the default, those who waited must not go by what they saw before.
  await database.query(`alter database ${database.name} set default_transaction_isolation = 'serializable'`);
  const buses = Array.from({ length: 8 }, () => openBus(t, database.url));
  await Promise.all(buses.map((bus) => bus.migrate()));
  const migrated = await describeSchema(database, 'message_bus');
  t.ok(migrated.length > 50);
  for (const [i, bus] of buses.entries()) t.equal(await bus.publish('/a', i), i + 1);

  await Promise.all(buses.map((bus) => bus.migrate()));
  t.strictSame(await describeSchema(database, 'message_bus'), migrated, 'once more changes nothing');
  t.equal((await database.query('select * from message_bus.global_backlog()')).length, 8);
});

t.test('a migration does not disturb publishers and readers', async (t) => {
  const { url, pool } = await createDatabase(t);
  const bus = openBus(t, url);
  let migrating = true;
  const publishers = Array.from({ length: 8 }, async (_, i) => {
    let count = 0;
    for (; migrating; count++) {
      await pool.query('select message_bus.publish($1, $2)', [`/${i}`, count]);
      await pool.query('select message_bus.publish_many($1)', [JSON.stringify([{ channel: `/${i}`, data: count }])]);
      await pool.query('select * from message_bus.backlog($1, $2)', [`/${i}`, count]);
      await delay(Math.random() * 5);
    }
    return count;
  });
  for (let round = 0; round < 10; round++) await bus.migrate();
  migrating = false;
  const counts = await Promise.all(publishers);
  t.ok(Math.min(...counts) > 0);
  t.strictSame(
    await bus.lastIds(counts.map((_, i) => `/${i}`)),
    counts.map((count) => 2 * count),
  );
});

t.test('the printed SQL makes the same schema', async (t) => {
  const [byBus, byHand] = [await createDatabase(t, { migrated: false }), await createDatabase(t, { migrated: false })];
  for (const schema of ['message_bus', `It's a "schema" with $$ $1 \\ ; --`]) {
    await openBus(t, byBus.url, { schema }).migrate();
    await byHand.query(await printMigration(schema));
    t.strictSame(await describeSchema(byHand, schema), await describeSchema(byBus, schema));
    const name = pg.escapeIdentifier(schema);
    const names = `select name from ${name}.schema_migration`;
    t.strictSame(await byHand.query(names), await byBus.query(names));

    const bus = openBus(t, byHand.url, { schema });
    await bus.migrate();
    t.equal(await bus.publish('/a', 1), 1, 'and can be migrated from there');
  }
});

t.test('a schema that a newer postbus has migrated is refused, and left as it is', async (t) => {
  const database = await createDatabase(t);
  await database.query(
    `insert into message_bus.schema_migration values ('9999_from_the_future', '2100-01-01T00:00:00.000Z')`,
  );
  await database.query('drop function message_bus.last_id');
  const before = await describeSchema(database, 'message_bus');
  await t.rejects(openBus(t, database.url).migrate(), {
    code: 'POSTBUS_NEWER_SCHEMA',
    message: /"message_bus".*9999_from_the_future/,
  });
  t.strictSame(await describeSchema(database, 'message_bus'), before);
});

t.test('a migration that fails leaves nothing behind', async (t) => {
  const tables = await createDatabase(t, { migrated: false });
  await tables.query('create schema message_bus create view global_ring as select 1 as one');
  const before = await describeSchema(tables, 'message_bus');
  await t.rejects(openBus(t, tables.url).migrate(), {
    code: 'POSTBUS_QUERY_FAILED',
    message: /"global_ring" already exists/,
  });
  t.strictSame(await describeSchema(tables, 'message_bus'), before);

  const functions = await createDatabase(t, { migrated: false });
  await functions.query('create schema message_bus');
  await functions.query('create function message_bus.reset() returns int language sql return 1');
  const other = await describeSchema(functions, 'message_bus');
  await t.rejects(openBus(t, functions.url).migrate(), { code: 'POSTBUS_QUERY_FAILED', message: /return type/ });
  t.strictSame(await describeSchema(functions, 'message_bus'), other);
  await functions.query('drop function message_bus.reset()');
  const bus = openBus(t, functions.url);
  await bus.migrate();
  t.equal(await bus.publish('/a', 1), 1);
});

t.test('an application can migrate the bus in a Kysely migration of its own', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const bus = openBus(t, database.url);
  const db = new Kysely<object>({ dialect: new PostgresDialect({ pool: database.pool }) });
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => ({ bus: { up: () => bus.migrate() } }) },
  });
  const { error } = await migrator.migrateToLatest();
  t.equal(error, undefined);
  t.equal(await bus.publish('/a', 1), 1);
});

t.test('a schema can have any name', async (t) => {
  const { url, query } = await createDatabase(t, { migrated: false });
  const names = [
    'Upper Case',
    `quo"te's`,
    '$$',
    '-- ;',
    'select',
    'ünï—😀',
    'a.b',
    '\\x',
    '%s %I',
    '$1',
    'x'.repeat(63),
    'ü'.repeat(31),
  ];
  for (const schema of names) {
    const bus = openBus(t, url, { schema });
    await bus.migrate();
    const received: unknown[] = [];
    await bus.subscribe('/a', ({ data }) => received.push(data));
    await query(`select ${pg.escapeIdentifier(schema)}.publish('/a', to_jsonb($1::text))`, [schema]);
    await until(() => received.length > 0, `a message arrives by ${schema}`);
    t.strictSame(received, [schema]);
    t.equal(await bus.publish('/a', 2), 2);
    await bus.migrate();
    await bus.close();
  }
});

t.test('names that Postgres has a meaning of its own for are refused', async (t) => {
  const { url, query } = await createDatabase(t, { migrated: false });
  t.throws(() => openBus(t, url, { schema: '$user' }), { code: 'POSTBUS_BAD_OPTION' });
  await t.rejects(openBus(t, url, { schema: 'pg_bus' }).migrate(), { code: 'POSTBUS_QUERY_FAILED', message: /pg_bus/ });
  t.throws(() => openBus(t, url, { schema: 'ü'.repeat(32) }), { code: 'POSTBUS_BAD_OPTION' });
  t.throws(() => openBus(t, url, { schema: '' }), { code: 'POSTBUS_BAD_OPTION' });
  t.strictSame(
    await query(`select nspname from pg_namespace where nspname !~ '^pg_|^information_schema$|^public$'`),
    [],
  );
});

t.test('two buses in one database do not hear each other', async (t) => {
  const { url } = await createDatabase(t, { migrated: false });
  const [one, two] = [openBus(t, url, { schema: 'one' }), openBus(t, url, { schema: 'two' })];
  const heard: string[] = [];
  for (const [name, bus] of Object.entries({ one, two })) {
    await bus.migrate();
    await bus.subscribe('/a', ({ data }) => heard.push(`${name} hears ${data}`));
    await bus.subscribe(null, ({ data }) => heard.push(`${name} hears ${data} among all`));
  }
  t.equal(await one.publish('/a', 'a message of one'), 1);
  t.equal(await two.publish('/a', 'a message of two'), 1);
  await until(() => heard.length >= 4, 'all have been called');
  t.strictSame(heard.sort(), [
    'one hears a message of one',
    'one hears a message of one among all',
    'two hears a message of two',
    'two hears a message of two among all',
  ]);
  t.strictSame(one.log.concat(two.log), []);
  t.strictSame(
    (await one.backlog('/a')).map(({ data }) => data),
    ['a message of one'],
  );
  await one.expireAllBacklogs();
  t.equal((await two.globalBacklog()).length, 1);
});

t.test('a role that owns the schema but may create no other can migrate it', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const { role, url } = await createRole(t, database);
  await t.rejects(openBus(t, url).migrate(), { code: 'POSTBUS_NO_PERMISSION' });
  await database.query(`create schema message_bus authorization ${role}`);
  const bus = openBus(t, url);
  await bus.migrate();
  t.equal(await bus.publish('/a', 1), 1);
  await bus.migrate();
});

t.test('nobody can call the functions until somebody grants it; the grants stay', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const { role } = await createRole(t, database);
  const open = () =>
    database.query(`select p.proname as name from pg_proc p, lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
      where p.pronamespace = 'message_bus'::regnamespace and a.grantee = 0 order by 1`);
  await database.query('create schema message_bus');
  // Makes the rights of new functions explicit, those of the public among them.
  await database.query(`alter default privileges in schema message_bus grant execute on functions to ${role}`);
  const bus = openBus(t, database.url);
  await bus.migrate();
  t.strictSame(await open(), []);
  await database.query('grant execute on function message_bus.last_id to public');
  await bus.migrate();
  t.strictSame(await open(), [{ name: 'last_id' }]);
  // A function that comes with an update.
  await database.query('drop function message_bus.last_ids');
  await bus.migrate();
  t.strictSame(await open(), [{ name: 'last_id' }]);
});

t.test('a database that is not in UTF8 is refused, and left as it was', async (t) => {
  const { query, url } = await createDatabase(t, { migrated: false });
  const name = `latin_${process.pid}`;
  await query(`create database ${name} encoding latin1 locale 'C' template template0`);
  t.teardown(() => query(`drop database ${name} with (force)`));
  const latin = new URL(url);
  latin.pathname = `/${name}`;
  await t.rejects(openBus(t, latin.href).migrate(), { code: 'POSTBUS_NOT_UTF8', message: /LATIN1/ });
});

t.test('a name that Postgres would cut is refused', async (t) => {
  await t.rejects(printMigration('x'.repeat(64)), { code: 'POSTBUS_BAD_OPTION', message: /^schema/ });
});
