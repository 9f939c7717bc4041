import t from 'tap';
import { createGrantee, grantTypes } from '../../helpers/role.js';
import { openSession, type Session } from '../session.js';

const helpers =
  `clock_timestamp statement_timestamp pg_notify sha256 convert_to encode length left starts_with jsonb_typeof
  jsonb_array_length format octet_length pg_column_size make_interval pg_current_xact_id_if_assigned pg_current_xact_id
  set_config current_setting quote_literal`.split(/\s+/);

// Some of them fit better than what Postgres has.
const operators = [
  ['text', '=', 'text', 'boolean'],
  ['text', '||', 'text', 'text'],
  ['bigint', '+', 'integer', 'bigint'],
  ['bigint', '-', 'integer', 'bigint'],
  ['bigint', '%', 'integer', 'bigint'],
  ['bigint', '=', 'bigint', 'boolean'],
  ['integer', '=', 'bigint', 'boolean'],
  ['jsonb', '->', 'text', 'jsonb'],
  ['jsonb', '->>', 'text', 'text'],
  ['timestamptz', '>', 'timestamptz', 'boolean'],
] as const;

/** Functions of the caller's own, under the names of ours and of those that ours use: they note that they ran. */
async function setTraps({ client, rows }: Session): Promise<number> {
  await client.query('create schema evil create table caught (what text)');
  await client.query('grant usage on schema evil to public; grant insert on evil.caught to public');
  const trap = (what: string) =>
    `language plpgsql as $$ begin insert into evil.caught values ('${what}'); return null; end $$`;
  const functions = await rows(
    `select p.proname as name, format('%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) as call,
      case p.prorettype when 'void'::regtype then 'text' else p.prorettype::regtype::text end as result
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where (n.nspname = 'message_bus' or n.nspname = 'pg_catalog' and p.proname = any ($1))
      and p.proargmodes is null and not p.proretset
      and not p.prorettype = any ('{trigger,anyelement,message_bus.message}'::regtype[])
      and not exists (select from unnest(p.proargtypes) a where a::regtype::text ~ '^any|^"any"|^message_bus')`,
    [helpers],
  );
  for (const { name, call, result } of functions)
    await client.query(`create function evil.${call} returns ${result} ${trap(String(name))}`);
  for (const [i, [left, symbol, right, result]] of operators.entries()) {
    await client.query(`create function evil.operator_${i}(${left}, ${right}) returns ${result} ${trap(symbol)}`);
    await client.query(
      `create operator evil.${symbol} (leftarg = ${left}, rightarg = ${right}, function = evil.operator_${i})`,
    );
  }
  return functions.length;
}

t.test('whatever a caller puts in their way, the functions run what is theirs', async (t) => {
  const granted = ['publish', 'publish_many', 'publish_later', 'backlog', 'global_backlog', 'last_ids'];
  granted.push('relay', 'relay_state', 'relay_refused', 'relay_retry', 'relay_discard', 'shrink_backlogs');
  const { database, role, url } = await createGrantee(t, granted);
  await database.query(`grant create on database ${database.name} to ${role}`);
  await grantTypes(database, role);
  const session = await openSession(t, url);
  const { client, value, rows } = session;
  t.ok((await setTraps(session)) > 30);
  // Tables of the caller's that are found first and look the same.
  const tables = [
    'settings',
    'bus',
    'channels',
    'messages',
    'global_ring',
    'sweep',
    'outbox',
    'relaying',
    'relay_outbox',
    'refusals',
  ];
  for (const table of tables) {
    const columns = await database.query<{ column: string }>(
      `select format('%I %s', attname, format_type(atttypid, null)) as column from pg_attribute
      where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum`,
      [`message_bus.${table}`],
    );
    await client.query(`create temp table ${table} (${columns.map(({ column }) => column).join(', ')})`);
    await client.query(`grant all on ${table} to public`);
  }
  await client.query('create temp sequence newest_global_id; grant all on newest_global_id to public');
  const lies = { clear_every: 1, max_backlog_size: 1, ring_size: 1, notify_channel: 'mine' };
  for (const table of ['settings', 'bus']) {
    const [row] = await database.query(`select to_jsonb(t) as truth from message_bus.${table} t`);
    const values = JSON.stringify({ ...row?.truth, ...lies });
    await client.query(`insert into ${table} select * from jsonb_populate_record(null::${table}, $1)`, [values]);
  }
  const heard: unknown[] = [];
  client.on('notification', (notification) => heard.push(notification));
  await client.query('listen mine');
  await client.query('set search_path = pg_temp, evil, pg_catalog, message_bus');

  t.equal(await value(`select message_bus.publish('/a', '1')`), 1);
  t.equal(await value(`select message_bus.publish('/a', '2', max_backlog_size => 5)`), 2);
  const list = [
    { channel: '/a', data: 3, max_backlog_size: 20 },
    { channel: '/b', data: 4 },
  ];
  t.strictSame(await value('select message_bus.publish_many($1)', [JSON.stringify(list)]), [3, 1]);
  await value(`select message_bus.publish_later('/c', '5')`);
  const later = ['/a', '/d'].map((channel) => `select message_bus.publish_later('${channel}', '7')`);
  await client.query(`begin; select message_bus.publish('/c', '6'); ${later.join('; ')}; commit`);
  await database.query('select message_bus.configure(relay => true)');
  await client.query(
    `begin; select message_bus.publish_later('/d', '8'); select message_bus.publish_later('/e', '8'); commit`,
  );
  await database.query('alter table message_bus.messages add constraint small check (octet_length(data::text) < 9)');
  await client.query(`select message_bus.publish_later('/f', '"too large"', user_ids => '{u}')`);
  t.equal(await value(`select part from message_bus.relay('node')`), 'idle');
  t.match(await rows('select data, user_ids from message_bus.relay_refused()'), [
    { data: 'too large', user_ids: ['u'] },
  ]);
  t.equal(await value('select refused from message_bus.relay_state()'), 1);
  t.equal(await value('select message_bus.relay_retry()'), 1);
  t.equal(await value(`select refused from message_bus.relay('node')`), 1);
  t.equal(await value('select message_bus.relay_discard(array(select id from message_bus.relay_refused()))'), 1);
  t.equal((await rows(`select * from message_bus.backlog('/a')`)).length, 4);
  t.equal((await rows('select * from message_bus.global_backlog()')).length, 10);
  t.strictSame(await value(`select message_bus.last_ids('{/a,/b,/c,/d}')`), [4, 1, 2, 2]);
  await t.rejects(value(`select message_bus.publish('__a', '1')`), { code: 'PB001' });

  t.strictSame(await database.query('select * from evil.caught'), []);
  t.strictSame(heard, []);
  for (const table of ['channels', 'messages', 'global_ring', 'outbox', 'relay_outbox', 'refusals'])
    t.strictSame(await rows(`select * from pg_temp.${table}`), [], `the caller's own ${table}`);
  const messages = await database.query('select data from message_bus.global_backlog()');
  t.strictSame(
    messages.map(({ data }) => data),
    [1, 2, 3, 4, 5, 6, 7, 7, 8, 8],
  );

  // That the traps do catch what falls into them.
  await client.query(`select is_channel('/a'), 'a'::text operator(evil.||) 'b'::text`);
  t.strictSame(await database.query('select * from evil.caught order by what collate "C"'), [
    { what: 'is_channel' },
    { what: '||' },
  ]);
});
