import t from 'tap';
import { createReleasedSchema } from '../../database/migrate/fixtures/released-schema.js';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { createGrantee, createRole } from '../../helpers/role.js';
import { openSession } from '../session.js';
import { openChanges } from './published-changes.js';

const tableOwner = ['publish_changes', 'stop_publishing_changes', 'change_function', 'change_mark', 'publish_rows'];

t.test('publish_changes called by a superuser runs what belongs to the owner of the table as that owner', async (t) => {
  const { database, role, url } = await createGrantee(t, tableOwner);
  await database.query(`create schema own authorization ${role}`);
  const owner = await openSession(t, url);
  // Immutable, so that the planner runs them; on null, too. They note who runs them, and leave something for the commit to run.
  await owner.client.query(`
    create table own.ran (who text);
    create function own.at_commit() returns trigger language plpgsql as $$ begin insert into own.ran values ('at commit: ' || current_user); return null; end $$;
    create constraint trigger at_commit after insert on own.ran deferrable initially deferred
      for each row when (new.who not like 'at commit%') execute function own.at_commit();
    create function own.note() returns void language plpgsql as $$ begin insert into own.ran values (current_user); raise notice 'ran as %', current_user; end $$;
    create type own.mood as enum ('good', 'bad');
    create function own.as_text(m own.mood) returns text language plpgsql immutable as $$ begin perform own.note(); return 'x'; end $$;
    create cast (own.mood as text) with function own.as_text(own.mood) as implicit;
    create function own.is_fine(m own.mood) returns boolean language plpgsql immutable as $$ begin perform own.note(); return true; end $$;
    create function own.escapes() returns boolean language plpgsql immutable as $$ begin perform set_config('role', 'none', true); return true; end $$;
    create table own.people (id int primary key, mood own.mood, moods own.mood[])`);
  const admin = await openSession(t, database.url);
  const told: string[] = [];
  admin.client.on('notice', ({ message }) => told.push(String(message)));
  const call = (more: string) =>
    admin.client.query(`select message_bus.publish_changes('own.people', '/people/{mood}', ${more})`);
  await call(`condition => $$own.is_fine('good') and mood::text = 'x'$$`);
  await call(`condition => $$own.is_fine(mood)$$, user_ids => 'moods', old_values => true, name => 'other'`);
  t.ok(told.length > 0, 'they were run');
  t.strictSame([...new Set(told)], [`ran as ${role}`]);
  t.strictSame(await database.query('select * from own.ran'), [], 'nothing is left for the commit');
  await t.rejects(call(`condition => 'own.nope(mood)'`), { code: 'PB006', message: /^condition: function own\.nope/ });
  await t.rejects(call(`condition => 'own.escapes()'`), {
    code: 'PB006',
    message: /cannot set parameter "role" within security-/,
  });
  t.strictSame(
    await admin.column(`select distinct proowner::regrole::text from pg_proc where proname like 'people\\_%'`),
    [role],
  );
});

for (const onError of ['fail', 'warn']) {
  t.test(
    `a table that has got another owner is not published with the rights of the former one (${onError})`,
    async (t) => {
      const { run, told, changes, database, column } = await openChanges(t, 'create table notes (id int primary key)');
      const first = await createRole(t, database);
      const second = await createRole(t, database);
      for (const { role } of [first, second]) {
        await run(`grant create on schema public to ${role}; grant usage on schema message_bus to ${role}`);
        for (const name of tableOwner) await run(`grant execute on function message_bus.${name} to ${role}`);
      }
      await run(`alter table notes owner to ${first.role}`);
      await run(`select message_bus.publish_changes('notes', '/notes', on_error => '${onError}')`);
      await run('insert into notes values (1)');
      t.equal((await changes()).length, 1);

      await run(`alter table notes owner to ${second.role}`);
      const message = new RegExp(
        `^(WARNING: )?table: it belongs to ${second.role} now, and the trigger function to ${first.role} \\(trigger notes_changes_insert on`,
      );
      if (onError === 'fail')
        await t.rejects(run('insert into notes values (2)'), {
          code: 'PB006',
          message,
          hint: /^Call publish_changes\(\) again/,
        });
      else {
        await run('insert into notes values (2)');
        t.match(told.at(-1), message);
      }
      t.strictSame(await changes(), []);

      // The new owner can do nothing about the function of the former one, and need not.
      const owner = await openSession(t, second.url);
      await owner.client.query(`select message_bus.publish_changes('notes', '/notes', on_error => '${onError}')`);
      await owner.client.query('insert into notes values (3)');
      t.match(await changes(), [['/notes', { key: { id: 3 } }]]);
      t.strictSame(
        await column(
          `select distinct p.proowner::regrole::text from pg_trigger t join pg_proc p on p.oid = t.tgfoid where t.tgrelid = 'notes'::regclass`,
        ),
        [second.role],
      );
      await owner.client.query(`select message_bus.stop_publishing_changes('notes')`);
      t.strictSame(await column(`select proname from pg_proc where proname like 'notes\\_%'`), ['notes_changes']);
      await run('drop function notes_changes');
    },
  );
}

t.test('a partition may have another owner than the table', async (t) => {
  const { run, changes, database } = await openChanges(
    t,
    'create table p (id int) partition by list (id); create table p1 partition of p for values in (1)',
  );
  const { role } = await createRole(t, database);
  await run(`select message_bus.publish_changes('p', '/p'); alter table p1 owner to ${role}`);
  await run('insert into p values (1); insert into p1 values (1)');
  t.equal((await changes()).length, 2);
});

t.test(
  'a role that may publish, read and have triggers cannot put a type of the bus in the way of a migration',
  async (t) => {
    const { database, role, url } = await createGrantee(t, [...tableOwner, 'publish', 'publish_later', 'backlog']);
    await database.query(`create schema own authorization ${role}`);
    const { client, value, rows } = await openSession(t, url);
    const types = await database.query<{ name: string }>(
      `select oid::regtype::text as name from pg_type where typnamespace = 'message_bus'::regnamespace`,
    );
    t.ok(types.some(({ name }) => name === 'message_bus.publication[]'));
    for (const { name } of types) {
      // Only a type that is no table's can make a table.
      for (const statement of [
        `create temp table x (a ${name})`,
        ...(name.endsWith('[]') ? [] : [`create temp table x of ${name}`]),
        `create type own.x as (a ${name})`,
        `create domain own.x as ${name}`,
      ])
        await t.rejects(client.query(statement), { code: /^(42501|42809)$/ }, statement);
    }
    // Nor does it need to.
    await client.query(
      `create table own.orders (id int primary key); select message_bus.publish_changes('own.orders', '/orders')`,
    );
    await client.query('insert into own.orders values (1)');
    t.equal((await rows(`select * from message_bus.backlog('/orders')`)).length, 1);
    t.equal(await value(`select (b).message_id from message_bus.backlog('/orders') b`), 1);
    await database.query('alter type message_bus.publication add attribute more int');
    await database.query('alter table message_bus.messages add column more int');
  },
);

t.test('types that an earlier version left open to everybody are closed', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  await createReleasedSchema(database);
  const { role } = await createRole(t, database);
  await openBus(t, database.url).migrate();
  t.strictSame(
    await database.query(
      `select oid::regtype from pg_type where typnamespace = 'message_bus'::regnamespace and has_type_privilege($1, oid, 'usage')`,
      [role],
    ),
    [],
  );
});
