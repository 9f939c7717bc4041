import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { createRole } from '../../helpers/role.js';
import { createReleasedSchema } from './fixtures/released-schema.js';

/** Who but the owner has been given a right to anything in the schema, the schema itself included. */
async function rights({ query }: TestDatabase): Promise<{ object: string; grantee: string; privilege: string }[]> {
  return query(
    `with n as (select * from pg_namespace where nspname = 'message_bus')
    select o.object, case a.grantee when 0 then 'public' else a.grantee::regrole::text end as grantee, a.privilege_type as privilege
    from (
      select 'schema' as object, nspowner as owner, nspacl as acl from n
      union all select c.relname, c.relowner, c.relacl from pg_class c join n on n.oid = c.relnamespace where c.relkind in ('r', 'S')
      union all select p.proname || '()', p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)) from pg_proc p join n on n.oid = p.pronamespace
      union all select 'type ' || t.typname, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner)) from pg_type t join n on n.oid = t.typnamespace
        where t.typcategory <> 'A'
    ) o cross join aclexplode(o.acl) a
    where a.grantee <> o.owner order by 1, 2, 3`,
  );
}

t.test('default privileges give nobody a right to anything of the bus', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const { role } = await createRole(t, database);
  for (const kind of ['tables', 'sequences', 'functions', 'types', 'schemas'])
    await database.query(`alter default privileges grant all on ${kind} to ${role}, public`);
  const bus = openBus(t, database.url);
  await bus.migrate();
  t.strictSame(await rights(database), []);
  t.equal(await bus.publish('/a', 1), 1);
});

t.test('default privileges of the schema give nobody a right to anything of the bus', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const { role } = await createRole(t, database);
  await database.query('create schema message_bus');
  for (const kind of ['tables', 'sequences', 'functions', 'types'])
    await database.query(`alter default privileges in schema message_bus grant all on ${kind} to ${role}`);
  await openBus(t, database.url).migrate();
  t.strictSame(await rights(database), []);
});

t.test(
  'rights that default privileges have given away in an earlier version are taken back, those of others stay',
  async (t) => {
    const database = await createDatabase(t, { migrated: false });
    const [app, monitor] = [await createRole(t, database), await createRole(t, database)];
    for (const kind of ['tables', 'sequences', 'functions', 'types'])
      await database.query(`alter default privileges grant all on ${kind} to ${app.role}`);
    await createReleasedSchema(database);
    await database.query(`create table message_bus.of_the_application (id int);
    grant select on message_bus.channels to ${monitor.role}; grant execute on function message_bus.node_state to ${monitor.role}`);
    t.ok((await rights(database)).length > 30);
    await openBus(t, database.url).migrate();
    t.strictSame(
      (await rights(database)).filter(({ object }) => !object.includes('of_the_application')),
      [
        { object: 'channels', grantee: monitor.role, privilege: 'SELECT' },
        { object: 'node_state()', grantee: monitor.role, privilege: 'EXECUTE' },
      ],
    );
    const [own] = await database.query(
      `select has_table_privilege($1, 'message_bus.of_the_application', 'select') as may`,
      [app.role],
    );
    t.strictSame(own, { may: true });
  },
);

t.test('rights that an operator has granted stay', async (t) => {
  const database = await createDatabase(t);
  const { role } = await createRole(t, database);
  await database.query(`grant usage on schema message_bus to ${role};
    grant select on message_bus.channels to ${role};
    grant usage on type message_bus.message to ${role};
    grant execute on function message_bus.last_id to public`);
  const granted = await rights(database);
  t.equal(granted.length, 4);
  await openBus(t, database.url).migrate();
  t.strictSame(await rights(database), granted);
});

t.test('who could execute a function can execute the one that takes its place, with other parameters', async (t) => {
  const database = await createDatabase(t);
  const [plain, granting] = [await createRole(t, database), await createRole(t, database)];
  // As an earlier version may have left them: the same names, other parameters.
  await database.query(`
    drop function message_bus.last_id, message_bus.backlog, message_bus.reset;
    create function message_bus.last_id(channel text) returns bigint language sql return 0;
    create function message_bus.backlog(channel text) returns setof text language sql return null;
    create function message_bus.reset(what text) returns void language sql return null;
    revoke execute on all functions in schema message_bus from public;
    grant execute on function message_bus.last_id to ${plain.role};
    grant execute on function message_bus.last_id to ${granting.role} with grant option;
    grant execute on function message_bus.backlog to public`);
  const before = await rights(database);
  // Beside the old ones, which a migration of that version would have dropped.
  await openBus(t, database.url).migrate();
  await database.query('drop function message_bus.last_id(text), message_bus.backlog(text), message_bus.reset(text)');
  t.strictSame(await rights(database), before);
  t.equal(before.length, 3);
  const [grantable] = await database.query(
    `select has_function_privilege($1, 'message_bus.last_id(text, text)', 'execute with grant option') as plain,
      has_function_privilege($2, 'message_bus.last_id(text, text)', 'execute with grant option') as granting`,
    [plain.role, granting.role],
  );
  t.strictSame(grantable, { plain: false, granting: true });
});
