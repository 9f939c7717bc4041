import t from 'tap';
import { openChanges } from './published-changes.js';

t.test('any number of columns is published by name', async (t) => {
  const names = Array.from({ length: 250 }, (_, i) => `c${i + 1}`);
  const { run, changes } = await openChanges(
    t,
    `create table wide (${names.map((name) => `${name} int default 1`).join()}, primary key (${names.slice(0, 32).join()}))`,
  );
  for (const count of [49, 50, 51, 100, 101, 250]) {
    const columns = names.slice(0, count);
    await run(
      `select message_bus.publish_changes('wide', '/wide', columns => '{${columns.join()}}', old_values => true, when_changed => '{${columns.join()}}')`,
    );
    await run('insert into wide default values; update wide set c49 = 2; delete from wide');
    const row = Object.fromEntries(columns.map((name) => [name, 1]));
    const got = (await changes()).map(([, { row, old }]) => [row, old]);
    t.strictSame(got, [
      [row, undefined],
      [{ ...row, c49: 2 }, row],
      [undefined, { ...row, c49: 2 }],
    ]);
  }
});

t.test('columns may have the names that publish_changes uses itself', async (t) => {
  const { run, changes } = await openChanges(
    t,
    `create table odd (id int primary key, "row number" int, "row number 2" int, n int, o int, t int, c int, r int, x int, items int, owner int, "old rows" int, "new rows" int)`,
  );
  await run(`select message_bus.publish_changes('odd', '/{row number}/{n}/{c}', old_values => true, when_changed => '{row number}',
    condition => '"row number" > 0 and coalesce(n, o, t, c, r, x, items, owner) > 0')`);
  await run(
    `insert into odd values (1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16), (2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)`,
  );
  await run('update odd set "row number" = "row number" + id; delete from odd where id = 2');
  const row = {
    id: 1,
    'row number': 5,
    'row number 2': 6,
    n: 7,
    o: 8,
    t: 9,
    c: 10,
    r: 11,
    x: 12,
    items: 13,
    owner: 14,
    'old rows': 15,
    'new rows': 16,
  };
  const all = await changes();
  t.strictSame(
    all.map(([channel]) => channel),
    ['/5/7/10', '/5/7/10', '/6/7/10', '/7/7/10', '/7/7/10'],
  );
  t.strictSame(all[0]?.[1].row, row);
  t.strictSame([all[2]?.[1].row, all[2]?.[1].old], [{ ...row, 'row number': 6 }, row]);
  t.strictSame(all[4]?.[1].old, { ...row, id: 2, 'row number': 7 });
  // Without a key, in a column added later.
  await run(`create table plain (a int); select message_bus.publish_changes('plain', '/plain', old_values => true);
    alter table plain add "row number" int; insert into plain values (1, 2); select message_bus.publish_changes('plain', '/plain', old_values => true);
    update plain set "row number" = 3`);
  t.strictSame(
    (await changes()).map(([, { row }]) => row),
    [
      { a: 1, 'row number': 2 },
      { a: 1, 'row number': 3 },
    ],
  );
});

t.test('a channel does not depend on the settings of the session that changes the table', async (t) => {
  const { run, changes, database } = await openChanges(
    t,
    `create table "Odd" (); create table events (at timestamptz, d date, ts timestamp, i interval, f float8, g float4, b bytea, m money, reg regclass, ats timestamptz[], span tstzrange, e xml, tz timetz)`,
  );
  await run(`select message_bus.publish_changes('events', '/{at}/{d}/{ts}/{i}/{f}/{g}/{b}/{m}/{reg}/{ats}/{span}/{tz}', user_ids => 'ats', old_values => true,
    condition => $$to_char(1234.5, '9G999D9') = ' 1,234.5' or to_char(1234.5, '9G999D9') = ' 12345' or to_char(1234.5, 'FM9G999D9') = '1234.5'$$)`);
  const insert = `insert into public.events values ('2026-01-02 03:04:05.678+00', '2026-01-02', '2026-01-02 03:04', '26:00:00', 0.1::float8 + 0.2::float8, 1.1, decode('00ff5c', 'hex'), 12.34::numeric::money,
    'public."Odd"', array['2026-01-02 03:04:05+00'::timestamptz], tstzrange('2026-01-02 03:04:05+00', null), '<a/>', '03:04:05+05:45')`;
  const locales = (
    await database.query<{ name: string }>(`select setting as name from pg_settings where name = 'lc_messages'`)
  ).map(({ name }) => name);
  const seen = new Set<string>();
  for (const setting of [
    '',
    `timezone = 'Asia/Kathmandu'`,
    `timezone = 'America/St_Johns'`,
    `datestyle = 'SQL, DMY'`,
    `datestyle = 'German'`,
    `datestyle = 'Postgres, MDY'`,
    'intervalstyle = iso_8601',
    'intervalstyle = sql_standard',
    'intervalstyle = postgres_verbose',
    'bytea_output = escape',
    'extra_float_digits = -15',
    'extra_float_digits = 3',
    'xmlbinary = hex',
    'xmloption = document',
    'quote_all_identifiers = on',
    'array_nulls = off',
    'search_path = pg_catalog',
    ...['lc_monetary', 'lc_numeric', 'lc_time'].flatMap((name) =>
      [...locales, 'C.UTF-8'].map((locale) => `${name} = '${locale}'`),
    ),
  ]) {
    await run('begin');
    if (setting) await run(`set local ${setting}`);
    await run(`${insert}; commit`);
    const [change] = await database.query<{ channel: string; user_ids: string[] }>(
      'select channel, user_ids, data from message_bus.global_backlog() order by global_id desc limit 1',
    );
    seen.add(JSON.stringify(change));
  }
  t.equal(seen.size, 1, [...seen].join('\n'));
  t.match([...seen][0], /2026-01-02T03:04:05.678/);
  await changes();
});
