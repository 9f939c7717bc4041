import t from 'tap';
import { createDatabase } from '../../helpers/database.js';
import { openSession } from '../session.js';

t.test('ids makes a list of text of numbers, uuids and strings', async (t) => {
  const { url } = await createDatabase(t);
  const { value, client } = await openSession(t, url);
  await client.query(`
    create domain positive as int check (value > 0);
    create domain reference as uuid;
    create type team as enum ('red', 'blue');
    create collation blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false)`);
  const uuid = '00000000-0000-0000-0000-00000000002a';
  for (const [call, list] of [
    ['42', ['42']],
    ['42::smallint, 43::bigint, 44', ['42', '43', '44']],
    ['variadic array[1, 2]::bigint[]', ['1', '2']],
    ['variadic array[[1, 2], [3, 4]]', ['1', '2', '3', '4']],
    ['9223372036854775807, 9223372036854775808', ['9223372036854775807', '9223372036854775808']],
    ['-1, 0', ['-1', '0']],
    ['42.00, 1e3::numeric', ['42', '1000']],
    ['42::float8', ['42']],
    ['42::float4', ['42']],
    ['42::oid', ['42']],
    ['7::positive', ['7']],
    [`'${uuid}'::uuid`, [uuid]],
    [`'${uuid}'::reference`, [uuid]],
    [`'red'::team`, ['red']],
    [`'a', 'B '::text`, ['a', 'B ']],
    [`'a'::char(4), 'b'::char(9)`, ['a', 'b']],
    [`'a'::varchar, ''`, ['a', '']],
    [`'1.0'`, ['1.0']],
    [`'é' collate blind, 'E' collate blind`, ['é', 'E']],
  ] as const)
    t.strictSame(await value(`select message_bus.ids(${call})`), list, call);
  for (const untyped of [42, '42', uuid])
    t.strictSame(await value('select message_bus.ids($1)', [untyped]), [String(untyped)]);
  t.strictSame(await value('select message_bus.ids(variadic $1)', [[1, 2]]), ['1', '2']);
});

t.test('ids never gives what would publish to everyone, nor an id that no user has', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  const nobody = { code: 'PB002', message: 'ids: must be at least one id, none of them null' };
  for (const call of [
    'null',
    'null::int',
    'null::uuid',
    'variadic null',
    'variadic null::int[]',
    `variadic '{}'::bigint[]`,
    `variadic '{}'::text[]`,
    '1, null',
    'null, null::text',
    'variadic array[1, null]',
    'variadic (select array_agg(1) where false)',
  ])
    await t.rejects(value(`select message_bus.publish('/a', '1', user_ids => message_bus.ids(${call}))`), nobody, call);
  await t.rejects(value('select message_bus.ids($1)', [null]), nobody);
  for (const call of [
    '1.5',
    '1e20::float8',
    '9007199254740993::float8',
    `'NaN'::float4`,
    `'infinity'::numeric`,
    '1::money',
    `'pg_class'::regclass`,
    `'1'::jsonb`,
    `'"a"'::json`,
    'true',
    'now()',
    `'\\x01'::bytea`,
    'variadic array[1.5, 2]',
  ])
    await t.rejects(
      value(`select message_bus.ids(${call})`),
      { code: 'PB002', message: /^ids: must be whole numbers, uuids or strings, not / },
      call,
    );
  t.equal(await value(`select message_bus.last_id('/a')`), 0);
});

t.test('rows and ids as callers have them are published', async (t) => {
  const { url, query } = await createDatabase(t);
  const { client } = await openSession(t, url);
  await client.query(`
    create table orders (id bigint primary key, customer_id int, team uuid, watchers smallint[], document json);
    create function told() returns trigger language plpgsql as $$
    begin
      perform message_bus.publish_later('/orders/' || new.id, to_jsonb(new), user_ids => message_bus.ids(new.customer_id), group_ids => message_bus.ids(new.team));
      perform message_bus.publish('/watched', new.document::jsonb, message_bus.ids(variadic new.watchers), client_ids => message_bus.ids(new.id));
      return null;
    end $$;
    create trigger told after insert on orders for each row execute function told();
    insert into orders values (7, 42, '00000000-0000-0000-0000-00000000002a', '{1,2}', '{"a": 1}')`);
  t.strictSame(
    await query(`select channel, user_ids, group_ids, client_ids from message_bus.global_backlog() order by 1`),
    [
      { channel: '/orders/7', user_ids: ['42'], group_ids: ['00000000-0000-0000-0000-00000000002a'], client_ids: null },
      { channel: '/watched', user_ids: ['1', '2'], group_ids: null, client_ids: ['7'] },
    ],
  );
  await t.rejects(client.query(`insert into orders values (8, null, null, '{1}', '1')`), { code: 'PB002' });
});

t.test('calls with literals and untyped parameters stand for one publish alone', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  for (const name of ['publish', 'publish_later']) {
    for (const ids of [`'{42}'`, 'null', `'{a,b}'`, `array['42']`, 'array[42]::text[]'])
      await value(`select message_bus.${name}('/a', '{"a": 1}', user_ids => ${ids})`);
    await value(`select message_bus.${name}($1, $2, user_ids => $3)`, ['/a', '{"a": 1}', ['42']]);
    await value(`select message_bus.${name}($1, $2, $3, $4, $5)`, ['/a', '1', null, '{1}', null]);
  }
  t.equal(await value(`select message_bus.last_id('/a')`), 14);
  // By name alone, as people write grants.
  t.equal(await value(`select 'message_bus.publish'::regproc::text`), 'message_bus.publish');
});

t.test('ids refuses a string that looks like an array, and names the way out', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  for (const call of [
    `'{42,43}'`,
    `'{42}'::text`,
    `' {a, "b c"} '::varchar`,
    `variadic '{"{1,2}"}'::text[]`,
    `'{}'`,
    `'{"7"}'`,
  ])
    await t.rejects(
      value(`select message_bus.ids(${call})`),
      {
        code: 'PB002',
        message: /^ids: .*is one string that looks like an array$/,
        hint: /ids\(variadic '\{42,43\}'::text\[\]\)/,
      },
      call,
    );
  await t.rejects(value('select message_bus.ids($1)', [[42, 43]]), { code: 'PB002', message: /looks like an array/ });
  t.strictSame(await value(`select message_bus.ids(variadic '{42,43}'::text[])`), ['42', '43']);
  for (const [call, list] of [
    [`'{a'`, ['{a']],
    [`'a{1,2}'`, ['a{1,2}']],
    [`'{red}'`, ['{red}']],
    [`'{6F9619FF-8B86-D011-B42D-00C04FC964FF}'`, ['{6F9619FF-8B86-D011-B42D-00C04FC964FF}']],
    [`'{"a": 1, "b": 2}'`, ['{"a": 1, "b": 2}']],
    [`'{42}', '{43}'`, ['{42}', '{43}']],
    [`'{"tenant": 1}'::text`, ['{"tenant": 1}']],
  ] as const)
    t.strictSame(await value(`select message_bus.ids(${call})`), list, call);
});
