import t from 'tap';
import { openChanges } from './published-changes.js';

const orders = 'create table orders (id int primary key, customer int, status text, doc jsonb, ids text[])';

t.test('arguments that make no sense are refused by name', async (t) => {
  const { run } = await openChanges(
    t,
    `${orders}; create view seen as select 1 as id; create temp table mine (id int);
    create table parts (id int) partition by list (id); create table part partition of parts default`,
  );
  const refused = async (call: string, message: RegExp, code = 'PB006') =>
    t.rejects(run(`select message_bus.publish_changes(${call})`), { code, message }, call);
  await refused(`null, '/a'`, /^table: there is no such table/);
  await refused(`0, '/a'`, /^table: there is no such table/);
  await refused(`'nope', '/a'`, /relation "nope" does not exist/, '42P01');
  await refused(`'seen', '/a'`, /^table: public\.seen must be a table/);
  await refused(`'mine', '/a'`, /^table: .*mine must be a table/);
  await refused(`'part', '/a'`, /^table: public\.part is a partition/);
  await refused(`'message_bus.messages', '/a'`, /^table: message_bus\.messages belongs to the bus/);
  await refused(`'pg_class', '/a'`, /^table: pg_catalog\.pg_class belongs to the bus or to Postgres/);
  await refused(`'orders', null`, /^channel: must not be empty/);
  for (const channel of ['', '__a', '/__a{id}'])
    await refused(`'orders', '${channel}'`, /^channel: must not be empty, nor begin with __/);
  for (const channel of ['/{', '/}', '/{id', '/{}', '/{{id}}', '/}id{'])
    await refused(`'orders', '${channel}'`, /^channel: { and } must enclose/);
  for (const channel of [`e'/a\\n'`, `e'/{id}\\t'`, `repeat('a', 256)`])
    await refused(`'orders', ${channel}`, /^channel: must have 1 to 255 characters, and no control characters/);
  await refused(`'orders', '/{nope}'`, /^channel: the table has no column 'nope'/);
  await refused(`'orders', '/{ctid}'`, /^channel: the table has no column 'ctid'/);
  await refused(`'orders', '/a', '{}'`, /^operations: must be/);
  await refused(`'orders', '/a', '{truncate}'`, /^operations: must be/);
  await refused(`'orders', '/a', null`, /^operations: must be/);
  await refused(`'orders', '/a', columns => '{}'`, /^columns: must name/);
  await refused(`'orders', '/a', columns => '{id,nope}'`, /^columns: the table has no column 'nope'/);
  await refused(`'orders', '/a', columns => '{id,null}'`, /^columns: a name is null/);
  await refused(`'orders', '/a', except_columns => '{nope}'`, /^except_columns: the table has no column/);
  await refused(`'orders', '/a', columns => '{id}', except_columns => '{id}'`, /^except_columns: makes no sense/);
  await refused(`'orders', '/a', when_changed => '{}'`, /^when_changed: must name/);
  await refused(`'orders', '/a', when_changed => '{nope}'`, /^when_changed: the table has no column/);
  await refused(`'orders', '/a', condition => 'nope > 1'`, /^condition: column "nope" does not exist/);
  await refused(`'orders', '/a', condition => 'id'`, /^condition: .*boolean/);
  await refused(`'orders', '/a', condition => 'id > '`, /^condition: syntax error/);
  for (const argument of ['user_ids', 'group_ids', 'site_id']) {
    await refused(`'orders', '/a', ${argument} => 'nope'`, new RegExp(`^${argument}: the table has no column`));
    await refused(`'orders', '/a', ${argument} => 'doc'`, new RegExp(`^${argument}: column 'doc' holds no ids`));
  }
  await refused(`'orders', '/a', site_id => 'ids'`, /^site_id: column 'ids' holds no ids/);
  await refused(`'orders', '/global/a', user_ids => 'ids'`, /^user_ids: a channel under \/global\//);
  await refused(`'orders', '/global/a', group_ids => 'ids'`, /^group_ids: a channel under \/global\//);
  await refused(`'orders', '/a', via => 'notify'`, /^via: must be/);
  await refused(`'orders', '/a', on_error => 'ignore'`, /^on_error: must be/);
  await refused(`'orders', '/a', name => 'A b'`, /^name: must be/);
  await refused(`'orders', '/a', name => '${'a'.repeat(21)}'`, /^name: must be/);
  await refused(`'orders', '/a', max_backlog_size => 0`, /^max_backlog_size: must be 1 or more/, 'PB003');
  await refused(`'orders', '/a', max_backlog_age => 0`, /^max_backlog_age: must be 1 or more/, 'PB003');
});

t.test('an operation that is named twice counts once', async (t) => {
  const { run, changes } = await openChanges(t, orders);
  await run(
    `select message_bus.publish_changes('orders', '/a', '{insert,delete,insert}'); insert into orders values (1)`,
  );
  t.equal((await changes()).length, 1);
});

t.test('a change that cannot be published fails the statement and names the trigger, or warns', async (t) => {
  const { run, changes, told } = await openChanges(t, orders);
  const install = (channel: string, rest = '') =>
    run(`select message_bus.publish_changes('orders', '${channel}' ${rest})`);
  const fails = (sql: string, code: string, what: RegExp) => t.rejects(run(sql), { code, message: what });
  const named = (what: string) => new RegExp(`${what}.*\\(trigger orders_changes_insert on public\\.orders\\)`, 's');

  await install('/x/{status}');
  await fails(`insert into orders values (1, 1, repeat('y', 300))`, 'PB001', named('^channel: .* is not a channel'));
  await fails(`insert into orders values (1, 1, null)`, 'PB001', named('^channel: null is not a channel'));
  await install('/x', `, condition => '1 / customer > 0'`);
  await fails(`insert into orders values (1, 0)`, '22012', named('^division by zero'));
  await run(`alter table orders add raw json; select message_bus.publish_changes('orders', '/x')`);
  await fails(`insert into orders (id, raw) values (1, '"\\u0000"')`, '22P05', named('unsupported Unicode'));
  await run('alter table orders drop raw');
  await install('/x/{customer}');
  await run('alter table orders rename customer to client');
  await fails(`insert into orders values (1)`, '42703', named('column n.customer does not exist'));
  await t.rejects(run('insert into orders values (1)'), {
    code: '42703',
    hint: /publish_changes\(\).*call it again/,
  });
  await run('alter table orders rename client to customer');
  t.strictSame([await changes(), (await run('select from orders')) && told], [[], []], 'nothing of all that');

  await install('/x/{status}', `, on_error => 'warn'`);
  await run(`insert into orders values (1, 1, repeat('y', 300)), (2, 1, 'fine'), (3, 1, null), (4, 1, 'too')`);
  t.match(await changes(), [
    ['/x/fine', {}],
    ['/x/too', {}],
  ]);
  t.equal(told.length, 1);
  t.match(told[0], /^WARNING: channel: .*\(trigger orders_changes_insert on public\.orders; rows not published: 2\)/);
  await install('/x', `, condition => '1 / customer > 0', on_error => 'warn'`);
  await run('insert into orders values (5, 1), (6, 0)');
  t.strictSame(await changes(), [], 'where a condition fails, none of the statement');
  t.match(told[1], /^WARNING: division by zero \(trigger orders_changes_insert on public\.orders\)/);
  await run(`alter table orders drop customer; insert into orders values (7)`);
  t.match(told[2], /^WARNING: column .*customer.* does not exist \(trigger/);
});

t.test('odd names of schemas, tables and columns', async (t) => {
  const { run, changes, column, told } = await openChanges(t, 'select 1');
  const schema = '"Büro ""x"" $$ %s"';
  const columns = [
    't',
    'n',
    'o',
    'i',
    'c',
    'r',
    'new',
    'old',
    'items',
    'tg_op',
    'fault',
    'hint',
    'q"uo\'te',
    'sp ace',
    '%I',
    '$1',
    'row',
  ];
  const quoted = columns.map((name) => `"${name.replaceAll('"', '""')}"`);
  await run(
    `create schema ${schema}; create table ${schema}."Tä'b\\le" (${quoted.map((name) => `${name} text`).join()}, primary key ("q""uo'te", i))`,
  );
  const table = `'${schema}."Tä''b\\le"'`;
  const list = (names: string[]) => `array[${names.map((name) => `'${name.replaceAll("'", "''")}'`).join()}]`;
  const where = `t = 't' and n = 'n' and "new" = 'new' and tg_op = 'tg_op' and "sp ace" <> 'x'`;
  const channel = `/${columns.map((name) => `{${name.replaceAll("'", "''")}}`).join('/')}`;
  const options = `old_values => true, condition => $c$${where}$c$, when_changed => ${list(columns)}, user_ids => 'q"uo''te'`;
  const full = Object.fromEntries(columns.map((name) => [name, name]));
  for (const extra of [`columns => ${list(columns)}`, `except_columns => '{}'`]) {
    await run(`select message_bus.publish_changes(${table}, '${channel}', ${options}, ${extra})`);
    await run(
      `insert into ${schema}."Tä'b\\le" values (${columns.map((name) => `'${name.replaceAll("'", "''")}'`).join()})`,
    );
    await run(`update ${schema}."Tä'b\\le" set "row" = 'other'`);
    await run(`delete from ${schema}."Tä'b\\le"`);
    const [insert, update, gone] = await changes();
    t.strictSame(insert, [
      `/${columns.join('/')}`,
      { op: 'insert', table: "Tä'b\\le", key: { 'q"uo\'te': 'q"uo\'te', i: 'i' }, row: full },
    ]);
    t.match(update, [`/${columns.slice(0, -1).join('/')}/other`, { row: { ...full, row: 'other' }, old: full }]);
    t.match(gone, [`/${columns.slice(0, -1).join('/')}/other`, { op: 'delete', old: { ...full, row: 'other' } }]);
  }

  // Names as long as they may be, of which the first part is the same.
  for (const end of ['a', 'b', 'c']) {
    await run(`create table "${'ä'.repeat(31)}${end}" (id int primary key)`);
    await run(
      `select message_bus.publish_changes('"${'ä'.repeat(31)}${end}"', '/long/${end}', name => 'twenty_characters_ab')`,
    );
    await run(
      `select message_bus.publish_changes('"${'ä'.repeat(31)}${end}"', '/long/${end}', name => 'ab', operations => '{update}')`,
    );
    await run(`insert into "${'ä'.repeat(31)}${end}" values (1)`);
  }
  t.strictSame(
    (await changes()).map(([name]) => name),
    ['/long/a', '/long/b', '/long/c'],
  );
  await run(`select message_bus.stop_publishing_changes('"${'ä'.repeat(31)}a"', 'ab')`);
  t.equal((await column(`select proname from pg_proc where proname like 'ä%'`)).length, 5);
  t.strictSame(told, []);
});

t.test('odd types of columns, dropped and new ones, generated ones', async (t) => {
  const { run, changes } = await openChanges(
    t,
    `create domain owner_list as int[]; create type pair as (a int, b text); set datestyle = 'German';
    create table odd (id int, gone text, j json, p point, x xml, d date, owners owner_list, pr pair, doubled int generated always as (id * 2) stored);
    alter table odd drop gone`,
  );
  await run(
    `select message_bus.publish_changes('odd', '/odd/{id}/{d}/{doubled}', when_changed => '{j,p,x,d,owners,pr}', user_ids => 'owners')`,
  );
  await run(`insert into odd values (1, '{"a": 1}', '(1,2)', '<a/>', '31.12.2026', '{7,null}', (1, 'b'))`);
  t.match(await changes(), [
    [
      '/odd/1/2026-12-31/2',
      { key: null, row: { id: 1, j: { a: 1 }, p: '(1,2)', d: '2026-12-31', pr: { a: 1, b: 'b' }, doubled: 2 } },
    ],
  ]);
  await run(`update odd set j = '{"a": 1}', p = '(1,2)', id = 2`);
  t.strictSame(await changes(), [], 'equal for want of an operator');
  await run(
    `update odd set j = '{"a":1}'; alter table odd add added text default 'x'; update odd set p = '(3,2)'; alter table odd drop x; delete from odd`,
  );
  t.match(
    await changes(),
    [
      ['/odd/2/2026-12-31/4', {}],
      ['/odd/2/2026-12-31/4', { row: { added: 'x' } }],
      ['/odd/2/2026-12-31/4', { op: 'delete', old: { id: 2 } }],
    ],
    'without a key, all of what is deleted',
  );
});

t.test('virtual columns, which triggers do not see, are left out', async (t) => {
  const { run, changes, value } = await openChanges(t, 'select 1');
  if (Number(await value(`select current_setting('server_version_num')::int`)) < 180_000) {
    t.pass('there are none yet');
    return;
  }
  await run('create table v (id int primary key, twice int generated always as (id * 2) virtual)');
  await run(`select message_bus.publish_changes('v', '/v', old_values => true)`);
  await run('insert into v values (1); update v set id = 2');
  t.strictSame(
    (await changes()).map(([, { row, old }]) => [row, old]),
    [
      [{ id: 1 }, undefined],
      [{ id: 2 }, { id: 1 }],
    ],
  );
  for (const options of [`'/{twice}'`, `'/v', columns => '{twice}'`, `'/v', when_changed => '{twice}'`])
    await t.rejects(run(`select message_bus.publish_changes('v', ${options})`), {
      code: 'PB006',
      message: /'twice' is a virtual column, which triggers do not see/,
    });
});

t.test('null data beside a message that is refused is published as null', async (t) => {
  const { run, value } = await openChanges(t, 'select 1');
  const item = (channel: string, data: string) =>
    `(null, '${channel}', ${data}, null, null, null, null, null)::message_bus.publication`;
  for (const right of ['publish_rows', 'shrink_backlogs']) {
    await run(`select message_bus.${right}(
      array[${item(`/${right}`, 'null')}, ${item('bad', `'1'`)}, ${item(`/${right}`, `'2'`)}], 'publish', 'warn', 'by hand')`);
    t.equal(Number(await value(`select message_bus.last_id('/${right}')`)), 2, right);
  }
});

t.test('an owner of a table who calls publish_rows() by hand gets null data published, and coded errors', async (t) => {
  const { run, changes } = await openChanges(t, 'select 1');
  const item = (channel: string, data: string) =>
    `array[(null, ${channel}, ${data}, null, null, null, null, null)::message_bus.publication]`;
  const good = item(`'/a'`, `'1'`);
  for (const right of ['publish_rows', 'shrink_backlogs']) {
    const call = (items: string, via: string, onError: string) =>
      run(`select message_bus.${right}(${items}, ${via}, ${onError}, 'by hand')`);
    for (const via of [`'publish'`, `'publish_later'`]) {
      await call(item(`'/a'`, 'null'), via, `'fail'`);
      t.match(await changes(), [['/a', null]], `${right} via ${via}`);
      await t.rejects(call('null', via, `'fail'`), { code: 'PB006', message: /^items: must be a list/ });
      await t.rejects(call('array[null]::message_bus.publication[]', via, `'fail'`), { code: 'PB001' });
      for (const onError of ['null', `'Warn'`, `''`])
        await t.rejects(call(good, via, onError), { code: 'PB006', message: 'on_error: must be fail or warn' });
    }
    for (const via of ['null', `'later'`, `''`])
      await t.rejects(call(good, via, `'fail'`), { code: 'PB006', message: 'via: must be publish_later or publish' });
  }
  t.strictSame(await changes(), []);
});
