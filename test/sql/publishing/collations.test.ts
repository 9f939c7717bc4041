import t from 'tap';
import { createDatabase } from '../../helpers/database.js';
import { openSession, type Session } from '../session.js';

/** What a parameter of this name, or else of this type, is given. */
const samples: Record<string, string> = {
  channel: '/i',
  site_id: 'i',
  site: 'i',
  channels: '{/i,/global/i}',
  channel_names: '{/i}',
  sites: '{""}',
  seen_ids: '{1}',
  seen_global_ids: '{1}',
  seen_expires: '{1}',
  after_ids: '{0}',
  message_id: '1',
  seen_message_id: '1',
  table: 'orders',
  relation: 'orders',
  column_name: 'id',
  operation: 'insert',
  operations: '{insert}',
  columns: '{id}',
  except_columns: 'null',
  // Columns.
  'channel publish_changes': '/{id}',
  'channel change_function': '/{id}',
  'channel change_query': '/{id}',
  'channel change_channel': '/{id}',
  'channel column_fault': '/{id}',
  'site_id publish_changes': 'name',
  'site_id change_function': 'name',
  'site_id change_query': 'name',
  'site_id check_changes': 'name',
  'site_id column_fault': 'name',
  'user_ids text': 'name',
  'group_ids text': 'null',
  role: 'postgres',
  condition: 'true',
  place: '',
  when_changed: '{id}',
  via: 'publish_later',
  on_error: 'fail',
  name: 'changes',
  messages: '[{"channel": "/i", "data": 1}]',
  items: '{"(\\"\\",/i,1,,,,,)"}',
  message: '(1,1,/i,,1,,,,)',
  text: '/i',
  'text[]': '{i}',
  integer: '1',
  bigint: '1',
  'bigint[]': '{1}',
  boolean: 'true',
  jsonb: '1',
  bytea: 'x',
  interval: '1 s',
  'timestamp with time zone': '2026-01-01',
};

interface Parameter {
  name: string;
  type: string;
}

interface Callable {
  name: string;
  result: string;
  parameters: Parameter[];
}

const isText = ({ type }: Parameter) => type === 'text' || type === 'text[]';

/** What a call gives or how it fails, without what differs from one to the next; undone. */
async function outcomeOf({ client }: Session, call: string): Promise<string> {
  await client.query('begin');
  try {
    const { rows } = await client.query<{ r: unknown }>(`select r::text from (select ${call} as r offset 0) s`);
    return JSON.stringify(rows).replace(/\d{4}-\d\d-\d\d [\d:.+-]*|\d{10,}|[0-9a-f-]{32,}/g, '…');
  } catch (error) {
    return error instanceof Error && 'code' in error ? `${error.code} ${error.message}` : String(error);
  } finally {
    await client.query('rollback');
  }
}

t.test('every function does the same for text of any collation, byte by byte', async (t) => {
  const { url, query } = await createDatabase(t);
  await query(`
    create collation blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
    create collation turkish (provider = icu, locale = 'tr');
    create collation other (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create table orders (id int primary key, name text, "ID" int, "NAME" text);
    select message_bus.publish('/i', '1'), message_bus.publish('/I', '1', site_id => 'i'), message_bus.publish('/global/i', '1')`);
  const session = await openSession(t, url);
  await session.client.query('set search_path = message_bus, public');
  const functions = await query<Callable>(`
    select p.proname as name, pg_get_function_result(p.oid) as result,
      (select jsonb_agg(jsonb_build_object('name', coalesce(p.proargnames[n], ''), 'type', format_type(a, null)) order by n)
        from unnest(p.proargtypes::oid[]) with ordinality t(a, n)) as parameters
    from pg_proc p
    where p.pronamespace = 'message_bus'::regnamespace and p.prokind = 'f'
      and (25::oid = any (p.proargtypes::oid[]) or 1009::oid = any (p.proargtypes::oid[])) order by 1`);
  t.ok(functions.length > 40);
  for (const { name, parameters } of functions) {
    const call = (wrap: (value: string, place: number) => string, capital: boolean) => {
      let place = 0;
      return `message_bus.${name}(${parameters
        .map((parameter) => {
          const sample =
            samples[`${parameter.name} ${name}`] ??
            samples[`${parameter.name} ${parameter.type}`] ??
            samples[parameter.name] ??
            samples[parameter.type] ??
            'null';
          const value = sample === 'null' ? 'null' : `'${sample.replaceAll("'", "''")}'`;
          if (!isText(parameter)) return `${value}::${parameter.type}`;
          return wrap(`${capital ? value.toUpperCase() : value}::${parameter.type}`, place++);
        })
        .join(', ')})`;
    };
    for (const capital of [false, true]) {
      const want = await outcomeOf(
        session,
        call((value) => value, capital),
      );
      t.notMatch(want, /^"?(42|XX|0A)/, `${name} ${want}`);
      for (const [how, wrap] of [
        ['blind', (value: string) => `${value} collate blind`],
        ['turkish', (value: string) => `${value} collate turkish`],
        // Of columns: collations that a call names may not differ.
        [
          'columns that differ',
          (value: string, place: number) =>
            `(select v from (select ${value} collate ${['blind', 'turkish', 'other'][place % 3]}) c(v))`,
        ],
        ['the first alone', (value: string, place: number) => (place === 0 ? `${value} collate blind` : value)],
        ['the last alone', (value: string, place: number) => (place > 0 ? `${value} collate blind` : value)],
      ] as const) {
        if (capital && how !== 'blind') continue;
        const got = await outcomeOf(session, call(wrap, capital));
        if (got !== want) t.equal(got, want, `${name} of ${how}`);
      }
    }
  }
});

t.test('names and ids that a collation holds for equal are told apart', async (t) => {
  const { url } = await createDatabase(t);
  const { client, column } = await openSession(t, url);
  await client.query(`
    create collation blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
    create table rooms (id int, name text collate blind, owner text collate "tr-x-icu", site varchar(9) collate blind);
    insert into rooms values (1, 'a', 'i', 's'), (2, 'A', 'I', 'S'), (3, 'ä', 'ı', null)`);
  const from = 'from rooms order by id';
  const call = `'/rooms/' || name, to_jsonb(name), user_ids => array[owner], site_id => site`;
  for (const round of [1, 2]) {
    t.strictSame(await column(`select message_bus.publish(${call}) ${from}`), [
      round * 2 - 1,
      round * 2 - 1,
      round * 2 - 1,
    ]);
    await client.query(`select message_bus.publish_later(${call}) ${from}`);
  }
  t.strictSame(await column(`select message_bus.last_id('/rooms/' || name, site) ${from}`), [4, 4, 4]);
  t.strictSame(await column(`select message_bus.last_ids(array_agg('/rooms/' || name order by id)) from rooms`), [
    [0, 0, 4],
  ]);
  t.strictSame(await column(`select data #>> '{}' from rooms, message_bus.backlog('/rooms/' || name, 3, site)`), [
    'a',
    'A',
    'ä',
  ]);
  t.strictSame(await column(`select user_ids[1] from rooms, message_bus.get_message('/rooms/' || name, 1, site)`), [
    'i',
    'I',
    'ı',
  ]);
});
