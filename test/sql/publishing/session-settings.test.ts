import t from 'tap';
import { createGrantee } from '../../helpers/role.js';
import { openSession } from '../session.js';

interface Setting {
  name: string;
  vartype: string;
  enumvals: string[] | null;
  min_val: string | null;
  max_val: string | null;
}

// Settings that end what runs, or the connection, or keep a session from writing: all or nothing is published then.
const endings =
  /timeout$|_keepalives_|tcp_user|^(default_)?transaction_|^role$|^session_auth|tablespaces?$|client_encoding|^seed$|^exit_on_error$/;
const strings = ['', '0', 'x', 'postgres, MDY', 'German', 'Asia/Kathmandu', 'C', 'public'];

function candidates({ vartype, enumvals, min_val, max_val }: Setting): string[] {
  if (vartype === 'bool') return ['on', 'off'];
  if (vartype === 'enum') return enumvals ?? [];
  if (vartype === 'string') return strings;
  return [min_val ?? '0', max_val ?? '1'];
}

t.test('no setting that a role can make changes what is published', async (t) => {
  const functions = [
    'publish',
    'publish_many',
    'publish_later',
    'publish_changes',
    'change_function',
    'change_mark',
    'publish_rows',
  ];
  const { database, role, url } = await createGrantee(t, [
    ...functions,
    'stop_publishing_changes',
    'backlog',
    'last_ids',
  ]);
  await database.query(`create schema own authorization ${role}`);
  await database.query('select message_bus.configure(max_backlog_size => 100000, max_global_backlog_size => 100000)');
  const { client, value } = await openSession(t, url);
  await client.query(`create table own.orders (id int, at timestamptz, f float8, b bytea, i interval, t text)`);
  const install = `select message_bus.publish_changes('own.orders', '/{t}/{f}/{b}/{i}', user_ids => 't', when_changed => '{id}', condition => $$t = E'a\\\\b'$$)`;
  await client.query(install);
  const json = `E'{"s": "a\\\\\\\\b", "n": 1.10, "x": [1e3]}'`;
  const publish = `begin;
    select message_bus.publish('/a', ${json}, user_ids => '{u,"v w"}', max_backlog_age => 100000);
    select message_bus.publish_later('/a', ${json}, site_id => 's'), message_bus.publish_later('/b', to_jsonb(1.5));
    select message_bus.publish_many(jsonb_build_array(jsonb_build_object('channel', '/a', 'data', ${json}::jsonb)));
    insert into own.orders values (1, '2026-01-02 03:04:05+00', 0.1::float8 + 0.2::float8, decode('00ff', 'hex'), interval '25:01:02', E'a\\\\b');
    commit`;
  let seen = 0;
  const published = async () => {
    const rows = await database.query<{ global_id: string }>(
      `select m.global_id, m.channel, m.site_id, m.data - 'row' as data, m.data -> 'row' -> 'f' as f, m.user_ids, c.expires_at - c.published_at as age
      from message_bus.global_backlog($1) m join message_bus.messages c on c.global_id = m.global_id`
        .replace('m.data - ', `case jsonb_typeof(m.data) when 'object' then m.data - `)
        .replace(`'row' as data`, `'row' else m.data end as data`),
      [seen],
    );
    seen = Number(rows.at(-1)?.global_id ?? seen);
    return rows.map(({ global_id, ...rest }) => rest);
  };
  await client.query(publish);
  const usual = await published();
  t.equal(usual.length, 5);

  const settings = await database.query<Setting & { [key: string]: unknown }>(
    `select name, vartype, enumvals, min_val, max_val from pg_settings
    where context = 'user' and category !~ 'Vacuum|Genetic|Cost Constants|Method Config|Write-Ahead|Replication|Connections|Statistics|Resource' order by name`,
  );
  t.ok(settings.length > 30);
  let tried = 0;
  for (const setting of settings.filter(({ name }) => !endings.test(name)))
    for (const candidate of candidates(setting)) {
      try {
        await client.query(`select set_config($1, $2, false)`, [setting.name, candidate]);
      } catch {
        continue;
      }
      tried++;
      try {
        if (setting.vartype !== 'integer' && setting.vartype !== 'real') await client.query(install);
        await client.query(publish);
        const rows = await published();
        if (JSON.stringify(rows) !== JSON.stringify(usual)) t.strictSame(rows, usual, `${setting.name} = ${candidate}`);
      } catch (error) {
        t.fail(`${setting.name} = ${candidate}: ${String(error)}`);
        await client.query('rollback');
        await published();
      }
      await client.query('reset all');
    }
  t.ok(tried > 80, `${tried} settings`);
  t.strictSame(await database.query('select from message_bus.outbox'), []);
  t.equal(await value(`select count(*)::int from message_bus.backlog('/a') where global_id is null`), 0);
});
