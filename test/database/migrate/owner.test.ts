import { randomBytes } from 'node:crypto';
import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { runRolesScript } from '../../helpers/documented-roles.js';
import { createRole } from '../../helpers/role.js';

async function owners({ query }: TestDatabase): Promise<unknown[]> {
  const rows = await query<{ owner: string }>(
    `select distinct owner::regrole::text as owner from (
      select proowner as owner, pronamespace as schema from pg_proc union all select relowner, relnamespace from pg_class
    ) o where schema = 'message_bus'::regnamespace`,
  );
  return rows.map(({ owner }) => owner);
}

t.test(
  'a superuser is refused the bus of another role, up to date or not, and can migrate it as that role',
  async (t) => {
    const database = await createDatabase(t, { migrated: false });
    const { role, url } = await createRole(t, database);
    await database.query(`create schema message_bus authorization ${role}`);
    const refusal = { code: 'POSTBUS_UNSAFE_SCHEMA', message: new RegExp(`it belongs to ${role}`) };
    await t.rejects(openBus(t, database.url).migrate(), refusal, 'while it is empty');
    await openBus(t, url).migrate();
    await t.rejects(openBus(t, database.url).migrate(), refusal, 'when it is up to date');
    await database.query('drop function message_bus.take_global_ids');
    await t.rejects(openBus(t, database.url).migrate(), refusal, 'when it is damaged');

    const asOwner = new URL(database.url);
    asOwner.searchParams.set('options', `-c role=${role}`);
    await openBus(t, asOwner.href).migrate();
    t.strictSame(await owners(database), [role]);
    t.equal(await openBus(t, url).publish('/a', 1), 1);
  },
);

t.test('of two superusers, one migrates the bus of the other, whose it stays', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const { role, url } = await createRole(t, database);
  await database.query(`alter role ${role} superuser`);
  await openBus(t, url).migrate();
  await database.query('drop function message_bus.take_global_ids; drop function message_bus.publish');
  await openBus(t, database.url).migrate();
  t.strictSame(await owners(database), [role]);
  t.equal(await openBus(t, url).publish('/a', 1), 1);

  await database.query(`drop schema message_bus cascade; create schema message_bus authorization ${role}`);
  await openBus(t, database.url).migrate();
  t.strictSame(await owners(database), [role], 'also into an empty schema');
});

t.test(
  'a role migrates into the schema that a superuser has made for it, and from then on the bus is its own',
  async (t) => {
    const database = await createDatabase(t, { migrated: false });
    const { role, url } = await createRole(t, database);
    await database.query(`create schema message_bus; grant all on schema message_bus to ${role}`);
    const bus = openBus(t, url);
    await bus.migrate();
    t.strictSame(await owners(database), [role]);
    t.equal(await bus.publish('/a', 1), 1);
    await database.query('drop function message_bus.take_global_ids');
    await t.rejects(openBus(t, database.url).migrate(), {
      code: 'POSTBUS_UNSAFE_SCHEMA',
      message: new RegExp(`${role} may create in it.*belongs to ${role}`),
    });
    await bus.migrate();
    t.equal(await bus.publish('/a', 1), 2);
  },
);

t.test('a role is told which functions another one has made of the bus that it owns', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const { role, url } = await createRole(t, database);
  const { role: admin } = await createRole(t, database);
  await database.query(`create schema message_bus authorization ${role}`);
  await openBus(t, url).migrate();
  // What a superuser's migrate left in earlier versions.
  await database.query(`alter role ${admin} superuser; alter function message_bus.take_global_ids owner to ${admin}`);
  await t.rejects(openBus(t, url).migrate(), {
    code: 'POSTBUS_UNSAFE_SCHEMA',
    message: new RegExp(`function take_global_ids\\(.* belongs to ${admin}, not to ${role}: alter its owner`),
  });
  await database.query(`alter function message_bus.take_global_ids owner to ${role}`);
  await openBus(t, url).migrate();
});

t.test('neither members of the owner nor strangers migrate a bus that is not up to date', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const { role, url } = await createRole(t, database);
  const [member, stranger] = [await createRole(t, database), await createRole(t, database)];
  await database.query(`grant ${role} to ${member.role}; create schema message_bus authorization ${role}`);
  const empty = { code: 'POSTBUS_UNSAFE_SCHEMA', message: new RegExp(`it belongs to ${role}`) };
  await t.rejects(openBus(t, member.url).migrate(), empty, 'a member, while the schema is empty');
  await t.rejects(openBus(t, stranger.url).migrate(), empty, 'a stranger, while the schema is empty');
  await openBus(t, url).migrate();
  await database.query('drop function message_bus.migrated_by');
  const outOfDate = {
    code: 'POSTBUS_NO_PERMISSION',
    message: new RegExp(`not up to date, and only its owner, ${role}`),
  };
  await t.rejects(openBus(t, member.url).migrate(), outOfDate, 'a member');
  await t.rejects(openBus(t, stranger.url).migrate(), outOfDate, 'a stranger');
  t.strictSame(await owners(database), [role]);
});

t.test('a role that may only run nodes can call migrate() at its start, if the schema is up to date', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const { role, url } = await createRole(t, database);
  const schema = `bus_${randomBytes(4).toString('hex')}`;
  await database.query(`create schema ${schema} authorization ${role}`);
  await openBus(t, url, { schema }).migrate();
  const roles = await runRolesScript(t, database, schema);
  const node = openBus(t, roles.node.url, { schema });
  await node.migrate();
  t.equal(await node.publish('/a', 1), 1);
});
