import { readFileSync } from 'node:fs';
import t from 'tap';
import { openBus } from '../helpers/bus.js';
import { makeFolder, run, start } from '../helpers/command.js';
import { createDatabase, databaseUrl } from '../helpers/database.js';
import { until } from '../helpers/until.js';

t.test('help and version', async (t) => {
  const { code, stdout, stderr } = await run(t, ['--help']);
  t.strictSame([code, stderr], [0, '']);
  for (const name of ['serve', 'migrate', 'publish', 'subscribe', 'configure', 'expire']) {
    t.match(stdout, new RegExp(`^  ${name} +\\w`, 'm'), `names ${name}`);
  }
  const options: Record<string, string[]> = {
    serve: [
      'demo',
      'host <host>',
      'port <port>',
      'cors-origins <list>',
      'hosts <list>',
      'max-active-clients <n>',
      'max-waiting-channels <n>',
      'max-channels <n>',
      'body-limit <bytes>',
      'workers <n>',
      'database-url <url>',
      'schema <name>',
    ],
    migrate: ['print', 'database-url <url>', 'schema <name>'],
    publish: ['user-ids <a,b>', 'group-ids <a,b>', 'client-ids <a,b>', 'site-id <site>', 'max-backlog-size <n>'],
    subscribe: ['all', 'last-id <id>', 'site-id <site>'],
    configure: [
      'max-backlog-size <n>',
      'max-global-backlog-size <n>',
      'max-backlog-age <s>',
      'max-data-size <bytes>',
      'clear-every <n>',
    ],
    expire: ['database-url <url>', 'schema <name>'],
  };
  for (const [name, expected] of Object.entries(options)) {
    const help = await run(t, [name, '--help']);
    t.equal(help.code, 0);
    t.match(help.stdout, new RegExp(`^Usage: postbus ${name} `));
    for (const option of expected) t.ok(help.stdout.includes(`\n  --${option} `), `${name} explains --${option}`);
  }
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  t.equal((await run(t, ['--version'])).stdout, `${version}\n`);
});

t.test('a command line that makes no sense', async (t) => {
  const wrong: [string[], RegExp, Record<string, string>?][] = [
    [[], /no command given. See postbus --help/],
    [['frobnicate'], /frobnicate is not a command. See postbus --help/],
    [['serve', '--prot', '1'], /'--prot'.* See postbus serve --help/],
    [['serve', 'now'], /unexpected argument: now/],
    [['serve', '--port', '80a'], /--port must be a whole number from 0 to 65535, not 80a/],
    [['serve', '--workers', '0'], /--workers must be a whole number from 1 to 1024, not 0/],
    [['serve', '--port', ''], /--port is empty/],
    [['serve'], /PORT must be a whole number from 0 to 65535, not -1/, { PORT: '-1' }],
    [
      ['serve', '--cors-origins', 'https://a.org/'],
      /an origin looks like https:\/\/example.org, not https:\/\/a.org\//,
    ],
    [['serve'], /an origin looks like .*, not a.org/, { CORS_ORIGINS: 'https://b.org,a.org' }],
    [['serve'], /LOG_LEVEL must be one of fatal, .* not loud/, { LOG_LEVEL: 'loud' }],
    [['serve'], /DATABASE_URL must look like postgres:/, { DATABASE_URL: 'localhost' }],
    [['serve'], /DATABASE_URL must look like .* as %xx/, { DATABASE_URL: 'postgres://u:se/cret@localhost/a' }],
    [
      ['serve'],
      /LISTEN_DATABASE_URL must look like postgres:/,
      { DATABASE_URL: 'postgres://a/b', LISTEN_DATABASE_URL: 'a' },
    ],
    [
      ['serve'],
      /an address to listen on, and no database: set DATABASE_URL/,
      { LISTEN_DATABASE_URL: 'postgres://a/b' },
    ],
    [['subscribe', '/a', '--listen-database-url', 'mysql://a/b'], /--listen-database-url must look like postgres:/],
    [['publish', '/a', '1', '--database-url', 'mysql://a/b'], /--database-url must look like postgres:/],
    [['migrate', '--print=yes'], /'--print'.* See postbus migrate --help/],
    [['publish', '/a'], /give a channel and one piece of JSON/],
    [['publish', '/a', '1', '2'], /give a channel and one piece of JSON/],
    [['publish', '/a', 'hello'], /hello is not JSON. A string needs quotes of its own: '"hello"'/],
    [['publish', '/a', '1', '--user-ids', 'a,,b'], /--user-ids has an empty item/],
    [['publish', '/a', '1', '--max-backlog-size', '0'], /--max-backlog-size must be a whole number from 1/],
    [['configure', '--max-backlog-age', '0'], /--max-backlog-age must be a whole number from 1/],
    [['configure', '--relay', 'on'], /--relay must be true or false, not on/],
    [['configure', '500'], /unexpected argument: 500/],
    [['expire', '/a'], /unexpected argument: \/a/],
    [['subscribe'], /give the channels, or --all/],
    [['subscribe', '/a', '--all'], /give the channels, or --all/],
    [['subscribe', '--all', '--site-id', 's'], /--all and --site-id do not go together/],
    [['subscribe', '/a', '--last-id', 'x'], /--last-id must be a whole number/],
  ];
  const outcomes = await Promise.all(wrong.map(([args, , env]) => run(t, args, env ? { env } : {})));
  for (const [i, [args, message]] of wrong.entries()) {
    const { code, stdout, stderr } = outcomes[i] ?? {};
    t.strictSame([code, stdout], [2, ''], args.join(' '));
    t.match(stderr, message);
    t.match(stderr, /^postbus: .*\n$/, 'one line');
    t.notMatch(stderr, /se\/cret/);
  }
});

t.test('a database that cannot be used', async (t) => {
  const { url } = await createDatabase(t, { migrated: false });
  const folder = makeFolder(t);
  const wrongPassword = new URL(url);
  wrongPassword.password = 'wrong';
  const cases: [string, string | undefined, string[]][] = [
    ['POSTBUS_NO_DATABASE_URL', undefined, ['migrate']],
    ['POSTBUS_NO_DATABASE_URL', undefined, ['publish', '/a', '1']],
    ['POSTBUS_NO_DATABASE_URL', undefined, ['subscribe', '/a']],
    ['POSTBUS_NO_SERVER', 'postgres://127.0.0.1:1/a', ['migrate']],
    ['POSTBUS_NO_SERVER', 'postgres://127.0.0.1:1/a', ['subscribe', '/a']],
    ['POSTBUS_BAD_CREDENTIALS', wrongPassword.href, ['migrate']],
    ['POSTBUS_NO_DATABASE', databaseUrl(url, 'not_there'), ['publish', '/a', '1']],
    ['POSTBUS_NO_SCHEMA', url, ['publish', '/a', '1']],
    ['POSTBUS_NO_SCHEMA', url, ['subscribe', '/a']],
    ['POSTBUS_NO_SCHEMA', url, ['configure', '--clear-every', '5']],
    ['POSTBUS_NO_SCHEMA', url, ['expire']],
  ];
  const outcomes = await Promise.all(
    cases.map(([, DATABASE_URL, args]) => run(t, args, { cwd: folder, env: DATABASE_URL ? { DATABASE_URL } : {} })),
  );
  for (const [i, [code, , args]] of cases.entries()) {
    const outcome = outcomes[i];
    t.strictSame([outcome?.code, outcome?.stdout], [1, ''], args.join(' '));
    // Those who are disconnected may say so before they give up.
    t.match(outcome?.stderr, new RegExp(`^(postbus: not listening.*\\n)?postbus: .* \\(${code}\\)\\n$`));
  }
  t.match(outcomes[0]?.stderr, /set DATABASE_URL/);
});

t.test('printed SQL is what migrate does', async (t) => {
  const byHand = await createDatabase(t, { migrated: false });
  const migrated = await createDatabase(t, { migrated: false });
  const schema = 'my "bus"';
  const { stdout } = await run(t, ['migrate', '--print', '--schema', schema]);
  await byHand.query(stdout);
  const migrate = ['migrate', '--schema', schema, '--database-url'];
  const first = await run(t, [...migrate, migrated.url]);
  t.strictSame({ ...first, stdout: '' }, { code: 0, stdout: '', stderr: '' });
  t.match(first.stdout, /^(Migrated: \d{4}_\w+\n)+The schema my "bus" is up to date\.\n$/);
  const catalog = await describe(byHand.query);
  t.ok(catalog.length > 50, 'has something to compare');
  t.strictSame(catalog, await describe(migrated.query));

  const bus = openBus(t, byHand.url, { schema });
  const received: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  await byHand.query(`select "my ""bus""".publish('/a', '"by hand"')`);
  await until(() => received.length > 0, 'the message came');
  t.strictSame(received, ['by hand']);

  const records = 'select * from "my ""bus""".schema_migration';
  const before = await byHand.query(records);
  t.strictSame(await run(t, [...migrate, byHand.url]), {
    code: 0,
    stdout: 'The schema my "bus" is up to date: nothing to do.\n',
    stderr: '',
  });
  t.strictSame(await byHand.query(records), before, 'a later migrate runs no migration');
  t.strictSame(await describe(byHand.query), catalog, 'and changes nothing');
  t.equal(await bus.publish('/a', 2), 2, 'ids go on');
});

t.test('publish', async (t) => {
  const { url, query } = await createDatabase(t);
  const env = { DATABASE_URL: url };
  const data = '{"number": 12345678901234567890, "text": "ä"}';
  t.strictSame(await run(t, ['publish', '/a', data], { env }), { code: 0, stdout: '1\n', stderr: '' });
  t.equal((await run(t, ['publish', '/a', '-'], { env, input: '["from", "stdin"]\n' })).stdout, '2\n');
  const targets = ['--user-ids', '1,2', '--group-ids=staff', '--client-ids', 'tab', '--site-id', 's'];
  t.equal((await run(t, ['publish', '/a', '"hidden"', ...targets, '--max-backlog-age', '60'], { env })).stdout, '1\n');
  t.strictSame(
    await query(
      'select message_id, site_id, data::text, user_ids, group_ids, client_ids from message_bus.global_backlog()',
    ),
    [
      { ...everyone, message_id: '1', data: '{"text": "ä", "number": 12345678901234567890}' },
      { ...everyone, message_id: '2', data: '["from", "stdin"]' },
      {
        message_id: '1',
        site_id: 's',
        data: '"hidden"',
        user_ids: ['1', '2'],
        group_ids: ['staff'],
        client_ids: ['tab'],
      },
    ],
  );

  t.equal((await run(t, ['publish', '/a', '3', '--max-backlog-size', '1'], { env })).stdout, '3\n');
  t.equal((await query(`select from message_bus.backlog('/a')`)).length, 1);
  const refused = await run(t, ['publish', '__a', '1'], { env });
  t.equal(refused.code, 1);
  t.match(refused.stderr, /'__a' is not a channel.*\n$/);
});

t.test('configure and expire', async (t) => {
  const { url, query } = await createDatabase(t);
  const env = { DATABASE_URL: url };
  const defaults = {
    clear_every: 100,
    max_backlog_size: 1000,
    max_global_backlog_size: 2000,
    max_backlog_age: 604_800,
    max_data_size: 1_048_576,
    backlog_size_cap: 100_000,
    backlog_age_cap: 31_536_000,
    relay: false,
  };
  const printed = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(t, ['configure', ...args], { env });
    t.strictSame([code, stderr], [0, '']);
    return JSON.parse(stdout);
  };
  t.strictSame(await printed(), defaults);
  await query(`select message_bus.publish('/a', '1') from generate_series(1, 5)`);
  const settings = { ...defaults, max_backlog_size: 3, max_global_backlog_size: 2 };
  t.strictSame(await printed('--max-backlog-size', '3', '--max-global-backlog-size=2'), settings);
  const ids = async (source: string) => (await query(`select message_id from ${source}`)).map((row) => row.message_id);
  t.strictSame(await ids(`message_bus.backlog('/a')`), ['3', '4', '5']);
  t.strictSame(await ids('message_bus.global_backlog()'), ['4', '5']);
  t.strictSame(await printed('--max-backlog-age', '60', '--clear-every', '7'), {
    ...settings,
    max_backlog_age: 60,
    clear_every: 7,
  });
  t.match(await printed('--relay', 'true'), { relay: true, clear_every: 7 });
  t.match(await printed('--relay=false'), { relay: false, clear_every: 7 });

  t.strictSame(await run(t, ['expire'], { env }), { code: 0, stdout: 'All messages are dropped.\n', stderr: '' });
  t.strictSame(await ids('message_bus.global_backlog()'), []);
  t.equal((await run(t, ['publish', '/a', '6'], { env })).stdout, '6\n');
});

t.test('subscribe', async (t) => {
  const { url } = await createDatabase(t);
  const env = { DATABASE_URL: url };
  const bus = openBus(t, url);
  await bus.publish('/a', 1);
  await bus.publish('/a', { two: 2 });
  await bus.publish('/b', 3, { siteId: 's', userIds: ['u'] });
  const some = start(t, ['subscribe', '/a', '/c', '--last-id=-2'], { env });
  const all = start(t, ['subscribe', '--all', '--last-id', '0'], { env });
  const site = start(t, ['subscribe', '/b', '--last-id', '0', '--site-id', 's'], { env });
  // They print what was there once they are subscribed.
  await until(() => [some, all, site].every(({ stdout }) => stdout().includes('\n')), 'the backlogs were printed');
  await until(async () => {
    await bus.publish('/c', 'live');
    return some.stdout().includes('live');
  }, 'messages came live');

  for (const [command, signal] of [
    [some, 'SIGINT'],
    [all, 'SIGTERM'],
    [site, 'SIGINT'],
  ] as const) {
    command.child.kill(signal);
    t.strictSame([await command.ended, command.stderr()], [0, ''], `ended by ${signal}`);
  }
  t.strictSame(lines(some.stdout())[0], { ...everyone, global_id: 2, message_id: 2, channel: '/a', data: { two: 2 } });
  const third = { global_id: 3, message_id: 1, channel: '/b', site_id: 's', data: 3, user_ids: ['u'] };
  t.match(lines(all.stdout())[2], third);
  t.strictSame(
    lines(all.stdout()).map(({ global_id }) => global_id),
    lines(all.stdout()).map((_, i) => i + 1),
    'all messages, in order',
  );
  t.match(lines(site.stdout()), [third]);
});

t.test('a reader that has seen enough', async (t) => {
  const { url } = await createDatabase(t);
  const bus = openBus(t, url);
  const command = start(t, ['subscribe', '/a', '--last-id', '0'], { env: { DATABASE_URL: url } });
  await bus.publish('/a', 1);
  await until(() => command.stdout() !== '', 'the first line was read');
  command.child.stdout?.destroy();
  let ended = false;
  void command.ended.then(() => {
    ended = true;
  });
  await until(async () => {
    await bus.publish('/a', 2);
    return ended;
  }, 'the command ended');
  t.strictSame([await command.ended, command.stderr()], [0, '']);
});

const everyone = { site_id: null, user_ids: null, group_ids: null, client_ids: null };

function lines(output: string): Record<string, unknown>[] {
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** All that is in the database's schemas but the content of tables, as text. */
async function describe(query: (text: string) => Promise<{ line: string }[]>): Promise<string[]> {
  const rows = await query(`
    with ours as (select oid, nspname from pg_namespace where nspname !~ '^(pg_|information_schema|public$)')
    select format('%s %s %s %s %s', nspname, relname, relkind, reloptions, relacl) as line from pg_class join ours on ours.oid = relnamespace
    union all
    select format('%s.%s %s %s %s', relname, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
      from pg_attribute join pg_class c on c.oid = attrelid join ours on ours.oid = relnamespace
      left join pg_attrdef on adrelid = attrelid and adnum = attnum where attnum > 0
    union all
    select format('%s %s', conrelid::regclass, pg_get_constraintdef(c.oid)) from pg_constraint c join ours on ours.oid = connamespace
    union all
    select format('%s %s', tgname, pg_get_triggerdef(t.oid)) from pg_trigger t join pg_class c on c.oid = tgrelid join ours on ours.oid = relnamespace where not tgisinternal
    union all
    select format('%s %s', pg_get_functiondef(p.oid), proacl) from pg_proc p join ours on ours.oid = pronamespace where prokind = 'f'
    order by 1`);
  return rows.map(({ line }) => line);
}
