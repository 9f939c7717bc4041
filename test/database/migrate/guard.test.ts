import t, { type Test } from 'tap';
import { printMigration } from '../../../src/database/migrate/migrate.js';
import { openBus } from '../../helpers/bus.js';
import { describeSchema } from '../../helpers/catalog.js';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { createRole } from '../../helpers/role.js';
import { openSession, type Session } from '../../sql/session.js';

/** Somebody who may create schemas in the database, and a session of that role. */
async function createStranger(t: Test, database: TestDatabase): Promise<Session & { role: string }> {
  const { role, url } = await createRole(t, database);
  await database.query(`grant create on database ${database.name} to ${role}`);
  return { role, ...(await openSession(t, url)) };
}

/** Refused by migrate() and by the printed SQL, both as a superuser, for a reason; nothing is changed. */
async function isRefused(t: Test, database: TestDatabase, reason: RegExp): Promise<void> {
  const before = await describeSchema(database, 'message_bus');
  await t.rejects(
    openBus(t, database.url).migrate(),
    { code: 'POSTBUS_UNSAFE_SCHEMA', message: reason },
    `migrate: ${reason}`,
  );
  const { client } = await openSession(t, database.url);
  await t.rejects(client.query(await printMigration('message_bus')), { message: reason }, `--print: ${reason}`);
  await client.query('rollback');
  t.strictSame(await describeSchema(database, 'message_bus'), before);
}

/** Makes the publisher's role a superuser, if that publisher is one already. */
const takeOver = (role: string) => `language plpgsql as $$ begin alter role ${role} superuser; return null; end $$`;

async function isSuperuser({ query }: TestDatabase, role: string): Promise<unknown> {
  return (await query<{ is: boolean }>('select rolsuper as is from pg_roles where rolname = $1', [role]))[0]?.is;
}

t.test('a schema that a stranger has made first is refused, and its better-fitting functions never run', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const { role, client } = await createStranger(t, database);
  await client.query(`create schema message_bus; grant all on schema message_bus to public;
    create function message_bus.num_nonnulls(text[], text[], text[], text, int, int) returns int ${takeOver(role)};
    create function message_bus.format(text, text) returns text ${takeOver(role)}`);
  await isRefused(
    t,
    database,
    new RegExp(`belongs to ${role}.*public may create.*num_nonnulls\\(.*belongs to ${role}`),
  );
  // Handed over with what is in it.
  await database.query('alter schema message_bus owner to current_user; revoke all on schema message_bus from public');
  await isRefused(t, database, new RegExp(`(?!public may).*num_nonnulls\\(.*belongs to ${role}`));
  await database.query(`drop owned by ${role} cascade`);
  const bus = openBus(t, database.url);
  await bus.migrate();
  t.equal(await bus.publish('/a', 1), 1);
  t.equal(await isSuperuser(database, role), false);
});

t.test('a setting that says that migrate has made the schema is not believed', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const { role, client } = await createStranger(t, database);
  await client.query('create schema message_bus');
  const url = new URL(database.url);
  url.searchParams.set('options', '-c postbus.created_schema=message_bus');
  await isRefused(t, { ...database, url: url.href }, new RegExp(`belongs to ${role}`));
});

t.test('what a stranger has left in a schema is refused by its kind and name', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const { role, client } = await createStranger(t, database);
  const leftovers: [string, RegExp][] = [
    [
      `create function message_bus.last_id(channel text, site_id text default null) returns bigint ${takeOver(role)}`,
      /function last_id\(/,
    ],
    [`create procedure message_bus.note(text) ${takeOver(role).replace('return null; ', '')}`, /function note\(/],
    [
      `create function message_bus.equal(text, text) returns boolean ${takeOver(role)};
      create operator message_bus.= (leftarg = text, rightarg = text, function = message_bus.equal)`,
      /operator = \(text, text\)/,
    ],
    ['create table message_bus.settings (singleton boolean)', /table settings/],
    ['create view message_bus.channels as select 1 as id', /view channels/],
    ['create sequence message_bus.newest_global_id', /sequence newest_global_id/],
    ['create table message_bus.schema_migration (name text)', /table schema_migration/],
    [`create type message_bus.publication as enum ('a')`, /type publication/],
    ['create domain message_bus.message as text', /type message/],
  ];
  for (const [statement, reason] of leftovers) {
    await database.query(`create schema message_bus; grant usage, create on schema message_bus to ${role}`);
    await client.query(statement);
    await database.query(`revoke all on schema message_bus from ${role}`);
    await isRefused(t, database, new RegExp(`${reason.source}.* belongs to ${role}`));
    await database.query('drop schema message_bus cascade');
  }
});

t.test('a schema in which others may create is refused, also one of a bus that has run for long', async (t) => {
  const database = await createDatabase(t);
  const { role } = await createRole(t, database);
  const [member, group] = [await createRole(t, database), await createRole(t, database)];
  await database.query(`grant ${group.role} to ${member.role}`);
  for (const grantee of [role, 'public', group.role]) {
    await database.query(`grant create on schema message_bus to ${grantee}`);
    await isRefused(
      t,
      database,
      new RegExp(`${grantee} may create in it: revoke create on schema message_bus from ${grantee}`),
    );
    await database.query(`revoke create on schema message_bus from ${grantee}`);
  }
  await openBus(t, database.url).migrate();
});

t.test('triggers and foreign keys that others have put on the tables of the bus are refused', async (t) => {
  const database = await createDatabase(t);
  const { role, client } = await createStranger(t, database);
  await client.query(`create schema stranger; create function stranger.f() returns trigger ${takeOver(role)}`);
  // As "alter default privileges" has given them away in earlier versions.
  await database.query(
    `grant usage on schema message_bus to ${role}; grant trigger, references on message_bus.messages, message_bus.channels to ${role}`,
  );
  await client.query(
    'create trigger mine before insert on message_bus.messages for each row execute function stranger.f()',
  );
  const name = new RegExp(`trigger mine on messages runs stranger.f\\(\\), which belongs to ${role}`);
  await t.rejects(openBus(t, database.url).migrate(), { code: 'POSTBUS_UNSAFE_SCHEMA', message: name });
  await database.query('drop trigger mine on message_bus.messages');
  await client.query('create table stranger.held (id bigint references message_bus.channels)');
  await t.rejects(openBus(t, database.url).migrate(), {
    code: 'POSTBUS_UNSAFE_SCHEMA',
    message: /held_id_fkey of stranger.held/,
  });
});

t.test(
  'the schema public is refused while everybody may create in it, and taken with tables of its owner',
  async (t) => {
    const database = await createDatabase(t, { migrated: false });
    await database.query('grant create on schema public to public');
    const bus = openBus(t, database.url, { schema: 'public' });
    await t.rejects(bus.migrate(), { code: 'POSTBUS_UNSAFE_SCHEMA', message: /public may create in it/ });
    await database.query(`revoke create on schema public from public;
    create table orders (id int); create type status as enum ('new'); create function total(orders) returns int language sql return 1`);
    await bus.migrate();
    t.equal(await bus.publish('/a', 1), 1);
    const [own] = await database.query(
      `select has_function_privilege('public', 'public.total(orders)', 'execute') as total, has_type_privilege('public', 'public.status', 'usage') as status,
      has_type_privilege('public', 'public.orders', 'usage') as orders, has_type_privilege('public', 'public.message', 'usage') as message`,
    );
    t.strictSame(
      own,
      { total: true, status: true, orders: true, message: false },
      'rights to what is not of the bus stay',
    );
  },
);

t.test('the owner of a database can have the bus in its schema public', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const { role, url } = await createRole(t, database);
  const [before] = await database.query<{ owner: string }>(
    'select datdba::regrole::text as owner from pg_database where datname = current_database()',
  );
  await database.query(`alter database ${database.name} owner to ${role}`);
  t.teardown(() => database.query(`alter database ${database.name} owner to ${before?.owner}`));
  const bus = openBus(t, url, { schema: 'public' });
  await bus.migrate();
  t.equal(await bus.publish('/a', 1), 1);
});
