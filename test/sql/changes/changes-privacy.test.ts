import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { createRole } from '../../helpers/role.js';
import { openSession } from '../session.js';
import { openChanges } from './published-changes.js';

const notes = 'create table notes (id int primary key, owner int, teams text[], tenant text, body text)';

t.test('a row is for whom its columns name; one that names nobody is for nobody', async (t) => {
  const { run, published } = await openChanges(t, notes);
  const targets = async () =>
    (await published()).map(({ data, user_ids, group_ids, site_id }) => [data.op, user_ids, group_ids, site_id]);
  await run(`select message_bus.publish_changes('notes', '/notes', user_ids => 'owner', group_ids => 'teams')`);
  await run(
    `insert into notes values (1, 7, '{a,b}'), (2, 7, null), (3, null, '{a,null}'), (4, null, null), (5, null, '{}'), (6, null, '{null}')`,
  );
  t.strictSame(await targets(), [
    ['insert', ['7'], ['a', 'b'], null],
    ['insert', ['7'], null, null],
    ['insert', null, ['a'], null],
  ]);
  await run(`update notes set owner = null, teams = '{}'; delete from notes where id = 1; delete from notes`);
  t.strictSame(await targets(), [], 'nor is what becomes nobody’s');

  await run(`select message_bus.publish_changes('notes', '/notes', site_id => 'tenant')`);
  await run(`insert into notes values (1, 7, null, 's1'), (2, 7, null, null)`);
  t.strictSame(await targets(), [['insert', null, null, 's1']], 'nor is what is no site’s');
});

t.test('what a row was is not told to those that it has come to', async (t) => {
  const { run, published } = await openChanges(t, notes);
  await run(
    `select message_bus.publish_changes('notes', '/notes', user_ids => 'owner', group_ids => 'teams', site_id => 'tenant', old_values => true)`,
  );
  await run(`insert into notes values (1, 7, '{a}', 's', 'secret of 7')`);
  await published();
  await run(
    `update notes set body = 'of 7'; update notes set owner = 8, body = 'for 8'; update notes set teams = '{b}'; update notes set tenant = 't'; update notes set id = 2`,
  );
  t.strictSame(
    (await published()).map(({ data, user_ids }) => [user_ids?.[0], 'old' in data]),
    [
      ['7', true],
      ['8', false],
      ['8', false],
      ['8', false],
      ['8', true],
    ],
  );
});

t.test('what a column holds does not take a row to the channels that all sites see', async (t) => {
  const { run, changes } = await openChanges(t, notes);
  for (const channel of ['{body}', '/{body}', '/glob{body}', '/global{body}'])
    await run(`select message_bus.publish_changes('notes', '${channel}', name => 'n${channel.length}')`);
  for (const body of ['/global/x', 'global/x', 'al/x', '/x', '__x'])
    await t.rejects(run(`insert into notes (id, body) values (1, '${body}')`), { code: 'PB001' }, body);
  await run(`insert into notes (id, body) values (1, 'x')`);
  t.same(new Set((await changes()).map(([channel]) => channel)), new Set(['x', '/x', '/globx', '/globalx']));
});

t.test('a table with row-level security wants targets, or to be called unrestricted', async (t) => {
  const { run, changes } = await openChanges(
    t,
    `${notes}; alter table notes enable row level security;
    create table parts (id int) partition by list (id); create table part partition of parts default; alter table part enable row level security`,
  );
  const install = (table: string, rest = '') => run(`select message_bus.publish_changes('${table}', '/n' ${rest})`);
  const refusal = {
    code: 'PB006',
    message: /row-level security, and its changes would reach everybody/,
    hint: /unrestricted => true/,
  };
  await t.rejects(install('notes'), refusal);
  await t.rejects(install('notes', `, site_id => 'tenant'`), refusal, 'a site is many people');
  await t.rejects(install('notes', ', unrestricted => null'), refusal);
  await t.rejects(install('parts'), refusal, 'of a partition');
  await run(`insert into notes values (1, 7)`);
  t.strictSame(await changes(), []);
  await install('notes', `, user_ids => 'owner'`);
  await install('notes', `, group_ids => 'teams'`);
  await install('notes', `, unrestricted => true`);
  await run(`insert into notes values (2, 7)`);
  t.equal((await changes()).length, 1);
});

t.test(
  'roles: the owner of the table publishes, who changes it needs no right, and nobody can put code in between',
  async (t) => {
    const database = await createDatabase(t, { migrated: false });
    const [bus, owner, clerk] = [
      await createRole(t, database),
      await createRole(t, database),
      await createRole(t, database),
    ];
    await database.query(`create schema message_bus authorization ${bus.role}; create schema shop authorization ${owner.role};
    create schema evil authorization ${clerk.role}; grant usage on schema shop, evil to public; grant create on schema shop to ${clerk.role}`);
    await openBus(t, bus.url).migrate();
    const [own, other, admin] = [
      await openSession(t, owner.url),
      await openSession(t, clerk.url),
      await openSession(t, database.url),
    ];
    await own.client.query(
      `create table shop.orders (id int primary key, total numeric); grant insert, update, delete, select on shop.orders to ${clerk.role}`,
    );
    const install = `select message_bus.publish_changes('shop.orders', '/orders/{id}', condition => 'total > 5')`;
    await t.rejects(own.client.query(install), { code: '42501' }, 'not before it is granted');
    await t.rejects(admin.client.query(install), {
      code: 'PB006',
      message: /^table: shop\.orders belongs to .*, who may not publish changes/,
    });
    const granted =
      'message_bus.publish_changes, message_bus.stop_publishing_changes, message_bus.change_function, message_bus.change_mark, message_bus.publish_rows';
    await admin.client.query(`grant execute on function ${granted} to ${owner.role}`);
    await t.rejects(
      admin.client.query(install),
      { code: 'PB006', message: /who may not publish changes/ },
      'a function alone',
    );
    await admin.client.query(`grant usage on schema message_bus to ${owner.role}, ${clerk.role}`);
    await own.client.query(install);
    await admin.client.query(`grant execute on function ${granted} to ${clerk.role}`);
    await t.rejects(
      other.client.query(install),
      { code: 'PB006', message: /^table: shop\.orders belongs to/ },
      'somebody else’s table',
    );
    await admin.client.query(`revoke execute on all functions in schema message_bus from ${clerk.role}`);

    // What fits better than what Postgres has, in the table's schema, the clerk's own and among temporary things.
    for (const schema of ['shop', 'evil'])
      await other.client.query(`create function ${schema}.caught(numeric, int) returns boolean language plpgsql as $$ begin raise exception 'as %', current_user; end $$;
      create operator ${schema}.> (leftarg = numeric, rightarg = int, function = ${schema}.caught);
      create function ${schema}.to_jsonb(shop.orders) returns jsonb language plpgsql as $$ begin raise exception 'as %', current_user; end $$`);
    await other.client.query(
      `set search_path = evil, shop, pg_catalog; create temp table "new rows" (id int, total numeric)`,
    );
    await t.rejects(other.client.query('select 1::numeric > 0'), { message: /^as / }, 'the traps are set');
    await own.client.query(install);
    await other.client.query('insert into shop.orders values (1, 3), (2, 7)');
    t.strictSame(await admin.column('select channel from message_bus.global_backlog()'), ['/orders/2']);
    await t.rejects(other.client.query('select shop.orders_changes()'), { code: '42501' });
    t.strictSame(await admin.column(`select pg_get_userbyid(proowner) from pg_proc where proname = 'orders_changes'`), [
      owner.role,
    ]);

    await admin.client.query(`select message_bus.stop_publishing_changes('shop.orders'); ${install}`);
    t.strictSame(
      await admin.column(`select pg_get_userbyid(proowner) from pg_proc where proname = 'orders_changes'`),
      [owner.role],
      'whoever installs it',
    );
    await openBus(t, bus.url).migrate();
    await other.client.query('update shop.orders set total = 9');
    t.equal(
      await admin.value('select count(*)::int from message_bus.global_backlog()'),
      3,
      'a migration changes nothing',
    );
    await admin.client.query(`revoke execute on function message_bus.publish_rows from ${owner.role}`);
    await t.rejects(
      other.client.query('update shop.orders set total = 9'),
      { code: '42501', where: /shop\.orders_changes\(\)/ },
      'rights that are lost',
    );
  },
);

t.test('two buses keep apart', async (t) => {
  const { run, rows, database, column } = await openChanges(t, notes);
  await openBus(t, database.url, { schema: 'Second bus' }).migrate();
  await run(
    `select message_bus.publish_changes('notes', '/a'); select "Second bus".publish_changes('notes', '/b'); insert into notes values (1)`,
  );
  t.strictSame(await column('select channel from message_bus.global_backlog()'), ['/a']);
  t.strictSame(await column('select channel from "Second bus".global_backlog()'), ['/b']);
  await run(`select "Second bus".stop_publishing_changes('notes'); delete from notes`);
  t.equal((await rows('select from message_bus.global_backlog()')).length, 2);
  t.equal((await rows('select from "Second bus".global_backlog()')).length, 1);
});

t.test('ids are the same whatever type of text holds them: blanks that pad char(n) are no part of an id', async (t) => {
  const { run, published, value } = await openChanges(
    t,
    `create domain padded as char(10); create domain padded_list as char(10)[]; create type team as enum ('ab');
    create table typed (a char(10), b varchar(10), c text, d name, e padded, f team, g "char", h uuid, i int, j bpchar,
      many char(10)[], padded padded[], list padded_list, texts text[], ints int[])`,
  );
  const id = '7e9b6a3e-0000-4000-8000-000000000000';
  const targets: Record<string, string[]> = {
    a: ['ab'],
    b: ['ab'],
    c: ['ab '],
    d: ['ab'],
    e: ['ab'],
    f: ['ab'],
    g: ['a'],
    h: [id],
    i: ['7'],
  };
  Object.assign(targets, { j: ['ab'], many: ['ab', 'c'], padded: ['ab'], list: ['ab'], texts: ['ab '], ints: ['7'] });
  const scalars = Object.keys(targets).filter((column) => column.length === 1);
  for (const [n, column] of Object.keys(targets).entries())
    await run(
      `select message_bus.publish_changes('typed', '/t${n}/${scalars.map((each) => `{${each}}`).join('/')}', name => 'n${n}', user_ids => '${column}',
        group_ids => '${column}', ${column.length === 1 ? `site_id => '${column}', ` : ''} condition => $$a = 'ab'$$, when_changed => '{a}')`,
    );
  await run(
    `insert into typed values ('ab', 'ab', 'ab ', 'ab', 'ab', 'ab', 'a', '${id}', 7, 'ab', '{ab,c,null}', '{ab}', '{ab}', '{"ab "}', '{7}')`,
  );
  const rows = await published();
  t.equal(rows.length, Object.keys(targets).length);
  for (const [n, [column, ids]] of Object.entries(targets).entries()) {
    const row = rows.find(({ channel }) => channel.startsWith(`/t${n}/`));
    t.match(
      row,
      { channel: `/t${n}/${scalars.map((each) => targets[each]?.[0]).join('/')}`, user_ids: ids, group_ids: ids },
      column,
    );
    t.equal(row?.site_id, column.length === 1 ? ids[0] : null, `${column} as a site`);
  }
  await run(
    `select message_bus.publish('/x', '1', user_ids => array['ab']::char(10)[], group_ids => array['ab'::padded], site_id => 's'::char(5))`,
  );
  t.match(await published(), [{ channel: '/x', user_ids: ['ab'], group_ids: ['ab'], site_id: 's' }]);
  await run(`select message_bus.publish_later('/x'::char(9), '1', client_ids => array['ab']::char(10)[])`);
  t.equal(await value(`select client_ids[1] || '|' from message_bus.backlog('/x')`), 'ab|');
});

t.test('ids in columns of numeric are whole: 42.00 is user 42; lists may have dimensions', async (t) => {
  const { published } = await openChanges(
    t,
    `create domain amounts as numeric(10,2)[]; create table numbers (id int, a numeric(10,2), b numeric(10,2)[], c amounts, d int[]);
    select message_bus.publish_changes('numbers', '/a', user_ids => 'a', group_ids => 'b', name => 'a');
    select message_bus.publish_changes('numbers', '/b', user_ids => 'c', group_ids => 'd', name => 'b');
    insert into numbers values (1, 42, '{1,2.00,null}', '{7}', '{{1,2},{3,null}}'), (2, 100, null, '{100}', '{}')`,
  );
  t.strictSame(
    (await published()).map(({ user_ids, group_ids }) => [user_ids, group_ids]),
    [
      [['42'], ['1', '2']],
      [['100'], null],
      [['7'], ['1', '2', '3']],
      [['100'], null],
    ],
  );
});
