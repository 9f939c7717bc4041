import t, { type Test } from 'tap';
import type { TestDatabase } from '../../helpers/database.js';
import { createGrantee, createRole } from '../../helpers/role.js';
import { until } from '../../helpers/until.js';
import { openSession } from '../session.js';

const tableOwner = ['publish_changes', 'stop_publishing_changes', 'change_function', 'change_mark', 'publish_rows'];

/** A superuser publishes the changes of a table; meanwhile somebody else, who made it wait for the table, does this and commits. */
async function meanwhile(t: Test, database: TestDatabase, url: string, first: string, then: string): Promise<unknown> {
  const table = await database.query<{ oid: number }>(`select 'own.people'::regclass::oid as oid`);
  const other = await openSession(t, url);
  const admin = await openSession(t, database.url);
  await other.client.query(`begin; ${first}`);
  const call = admin.value(`select message_bus.publish_changes(${table[0]?.oid}::regclass, '/people/{id}')`).then(
    () => undefined,
    (error: unknown) => error,
  );
  await until(
    async () =>
      (
        await database.query(
          `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        )
      ).length > 0,
    'the call waits for the table',
  );
  await other.client.query(`${then}; commit`);
  return call;
}

t.test('an owner of the schema cannot put a function in the place of what publish_changes() is making', async (t) => {
  const { database, role, url } = await createGrantee(t, tableOwner);
  const owner = await createRole(t, database);
  const bad = await openSession(t, url);
  await database.query(`
    create schema own authorization ${role}; create schema evil authorization ${role}; grant usage on schema own to ${owner.role};
    do $$ begin execute format('grant create on database %I to ${role}', current_database()); end $$;
    grant usage on schema message_bus to ${owner.role}; grant execute on function message_bus.publish_rows to ${owner.role};
    create table own.people (id int primary key); alter table own.people owner to ${owner.role}; grant insert on own.people to ${role}`);
  await bad.client.query(`
    create table evil.ran (who text); grant all on evil.ran to public; create table evil.people (id int primary key);
    create function evil.people_changes() returns trigger language plpgsql security definer as $$ begin return null; end $$`);
  const error = await meanwhile(
    t,
    database,
    url,
    'insert into own.people values (1)',
    'alter schema own rename to other; alter schema evil rename to own',
  );
  t.ok(error, 'the call is told that it found something else');
  t.strictSame(
    await bad.column(`select proowner::regrole::text from pg_proc where proname = 'people_changes'`),
    [role],
    'what the owner of the schema has written runs with no other rights than their own',
  );
  t.strictSame(await database.query(`select tgname from pg_trigger where tgname like 'people\\_%'`), []);
});

t.test(
  'publish_changes() notices a new owner, and row-level security, of a table that it had to wait for',
  async (t) => {
    for (const change of ['owner to', 'enable row level security --']) {
      const { database, role } = await createGrantee(t, tableOwner);
      const next = await createRole(t, database);
      await database.query(`create schema own; create table own.people (id int primary key); alter table own.people owner to ${role};
      grant usage on schema message_bus to ${next.role}; grant execute on function message_bus.publish_rows to ${next.role}`);
      t.match(
        await meanwhile(t, database, database.url, `alter table own.people ${change} ${next.role}`, 'select'),
        {
          code: 'PB006',
          message: 'table: another transaction has altered own.people meanwhile',
          hint: /^Call publish_changes\(\) again/,
        },
        change,
      );
      t.strictSame(await database.query(`select from pg_proc where proname like 'people%'`), []);
    }
  },
);

t.test(
  'what publish_changes() tries out as the owner of a table leaves no prepared statement to the caller',
  async (t) => {
    const { database, role, url } = await createGrantee(t, tableOwner);
    await database.query(`create schema own authorization ${role}`);
    const owner = await openSession(t, url);
    await owner.client.query(`
    create table own.people (id int primary key);
    create function own.leave() returns void language plpgsql as $$ begin
      execute 'deallocate all';
      execute 'prepare theirs as select current_user';
      execute 'prepare "S 1" as select current_user';
    end $$;
    create function own.is_fine(x int) returns boolean language plpgsql immutable as $$ begin perform own.leave(); return x = 1; end $$`);
    const admin = await openSession(t, database.url);
    for (const condition of ['true', '1 / 0 = 1']) {
      await admin.client.query('prepare "S 1" as select 1');
      const call = `select message_bus.publish_changes('own.people', '/people', condition => $$own.is_fine(1) and ${condition}$$)`;
      if (condition === 'true') await admin.client.query(call);
      else await t.rejects(admin.client.query(call), { code: 'PB006' });
      t.strictSame(await admin.column('select name from pg_prepared_statements where from_sql'), [], condition);
    }
  },
);
