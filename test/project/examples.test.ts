import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { Backup } from '../helpers/backup.js';
import { createDatabase } from '../helpers/database.js';
import { createGrantee } from '../helpers/role.js';
import { until } from '../helpers/until.js';
import { openSession } from '../sql/session.js';

const folder = fileURLToPath(new URL('../../examples/', import.meta.url));

/** The first of these commands that is there, and has its library for Postgres. */
function find(names: string[], check: string[]): string | undefined {
  return names.find((name) => spawnSync(name, check).status === 0);
}
const psql = find(['psql'], ['--version']);
// Another Python may come first on the PATH than the system's, which has the system's libraries.
const python = find(['python3', '/usr/bin/python3'], ['-c', 'import psycopg']);
const ruby = find(['ruby'], ['-e', `require 'pg'`]);
const php = find(['php'], ['-r', 'exit(extension_loaded("pdo_pgsql") ? 0 : 1);']);
// Runs the source as it is; a runtime alone, without the compiler of a JDK, cannot.
const driver = '/usr/share/java/postgresql.jar';
const java = existsSync(driver)
  ? find(['java'], ['-m', 'jdk.compiler/com.sun.tools.javac.Main', '-version'])
  : undefined;

interface Run {
  lines: () => string[];
  output: () => string;
  errors: () => string;
  ended: Promise<unknown>;
  kill: () => void;
}

function start(t: Test, url: string, command: string, parameters: string[]): Run {
  const child = spawn(command, parameters, { cwd: folder, env: { ...process.env, DATABASE_URL: url } });
  const ended = new Promise((resolve) => child.once('close', resolve));
  t.teardown(async () => {
    child.kill();
    await ended;
  });
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (part: string) => {
      text[name] += part;
    });
  // A line arrives in several parts: the last one may not be complete yet.
  const lines = () => text.stdout.split('\n').slice(0, -1);
  return { lines, output: () => text.stdout, errors: () => text.stderr, ended, kill: () => void child.kill() };
}

/** With no more rights than the page on roles gives to those that publish and read. */
const openPublisher = (t: Test) => createGrantee(t, ['publish', 'backlog']);

const publishers = [
  { language: 'psql', command: psql, parameters: ['-X', '-v', 'channel=/example', '-f', 'publish.sql'], url: true },
  { language: 'python', command: python, parameters: ['publish.py', '/example'] },
  { language: 'ruby', command: ruby, parameters: ['publish.rb', '/example'] },
  { language: 'php', command: php, parameters: ['publish.php', '/example'] },
  { language: 'java', command: java, parameters: ['-cp', driver, 'Publish.java', '/example'] },
];

for (const { language, command, parameters, url: takesUrl } of publishers) {
  const skip = command === undefined && `${language} with its library for Postgres is not on this machine`;
  t.test(`${language} publishes in a transaction, for some alone, and reads the backlog`, { skip }, async (t) => {
    const { database, url } = await openPublisher(t);
    const run = start(t, url, command ?? '', takesUrl ? [url, ...parameters] : parameters);
    t.equal(await run.ended, 0, run.errors());
    t.strictSame(run.output().trim().split('\n'), [
      'published 1',
      'published 2',
      `1 {"from": "${language}", "text": "hello"}`,
      '2 "for 42"',
      'refused PB001',
    ]);
    t.strictSame(await database.query('select message_id, data, user_ids from message_bus.backlog($1)', ['/example']), [
      { message_id: '1', data: { from: language, text: 'hello' }, user_ids: null },
      { message_id: '2', data: 'for 42', user_ids: ['42'] },
    ]);
  });
}

const followers = [
  { program: 'follow.py', command: python, parameters: ['follow.py'] },
  { program: 'follow.rb', command: ruby, parameters: ['follow.rb'] },
  { program: 'Follow.java', command: java, parameters: ['-cp', driver, 'Follow.java'] },
];

for (const { program, command, parameters } of followers) {
  const skip = command === undefined && `what ${program} needs is not on this machine`;
  t.test(`${program} prints every message once and in order, whatever interrupts it`, { skip }, async (t) => {
    const { database, role, url } = await createGrantee(t, ['notify_channel', 'global_backlog', 'incarnation']);
    const publish = (data: number) =>
      database.query(`select message_bus.publish('/follow', to_jsonb($1::int))`, [data]);
    await publish(1);
    const run = start(t, url, command ?? '', parameters);
    const { lines } = run;
    await until(() => lines().length >= 1, 'it listens');
    t.strictSame(lines(), ['following 1'], 'from now on');
    await publish(2);
    await publish(3);
    await until(() => lines().length === 3, 'it has read two');

    await database.query('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [role]);
    await publish(4);
    await until(() => lines().length >= 5, 'it has come back');
    await publish(5);
    await until(() => lines().length >= 6, 'it goes on');
    t.strictSame(lines(), ['following 1', '2 /follow 2', '3 /follow 3', 'following 3', '4 /follow 4', '5 /follow 5']);
    run.kill();

    const again = start(t, url, command ?? '', [...parameters, '2']);
    await until(() => again.lines().length >= 4, 'it has caught up');
    t.strictSame(again.lines(), ['following 2', '3 /follow 3', '4 /follow 4', '5 /follow 5']);
  });
}

for (const { program, command, parameters } of followers) {
  const skip = command === undefined && `what ${program} needs is not on this machine`;
  t.test(`${program} goes on after a restore, and after the key was rotated`, { skip }, async (t) => {
    const { database, url } = await createGrantee(t, ['notify_channel', 'global_backlog', 'incarnation']);
    const backup = new Backup(database);
    const publish = (data: number) =>
      database.query(`select message_bus.publish('/follow', to_jsonb($1::int))`, [data]);
    await publish(1);
    const run = start(t, url, command ?? '', [...parameters, '0']);
    const { lines } = run;
    await until(() => lines().length === 2, 'it has read one');
    await backup.take();
    await publish(2);
    await until(() => lines().length === 3, 'it has read two');
    await backup.restore('tables are truncated and filled');
    await publish(3);
    await until(() => lines().length >= 5, 'it goes on');
    await database.query('select message_bus.rotate_key()');
    await publish(4);
    await until(() => lines().length >= 7, 'it has followed');
    t.strictSame(lines(), [
      'following 0',
      '1 /follow 1',
      '2 /follow 2',
      'another past: following 1',
      '2 /follow 3',
      'following 2',
      '3 /follow 4',
    ]);
  });
}

for (const { program, command, parameters } of followers) {
  const skip = command === undefined && `what ${program} needs is not on this machine`;
  t.test(
    `${program} goes on after the server was put back as a whole: the incarnation is the same`,
    { skip },
    async (t) => {
      const { database, url, role } = await createGrantee(t, ['notify_channel', 'global_backlog', 'incarnation']);
      const publish = (data: number) =>
        database.query(`select message_bus.publish('/follow', to_jsonb($1::int))`, [data]);
      await publish(1);
      await database.query(`create schema copy; create table copy.ring as table message_bus.global_ring;
      create table copy.newest as select last_value from message_bus.newest_global_id`);
      const run = start(t, url, command ?? '', [...parameters, '0']);
      const { lines } = run;
      await publish(2);
      await until(() => lines().length === 3, 'it has read two');
      await database.query(`begin; delete from message_bus.global_ring; insert into message_bus.global_ring table copy.ring;
      delete from message_bus.messages where message_id = 2; update message_bus.channels set last_id = 1;
      select setval('message_bus.newest_global_id', last_value) from copy.newest;
      select message_bus.publish('/follow', '3'); commit;
      select pg_terminate_backend(pid) from pg_stat_activity where usename = '${role}'`);
      await until(() => lines().length >= 6, 'it goes on');
      await publish(4);
      await until(() => lines().length >= 7, 'it hears');
      t.strictSame(lines(), [
        'following 0',
        '1 /follow 1',
        '2 /follow 2',
        'following 2',
        'another past: following 1',
        '2 /follow 3',
        '3 /follow 4',
      ]);
    },
  );
}

t.test('whoever follows needs no more than is granted, and cannot sign', async (t) => {
  const { database, url } = await createGrantee(t, ['notify_channel']);
  const [row] = await database.query<{ name: string }>('select notify_channel as name from message_bus.settings');
  const follower = await createDatabase(t);
  t.not(
    (await follower.query('select message_bus.notify_channel() as name'))[0]?.name,
    row?.name,
    'each bus has its own',
  );
  const session = await openSession(t, url);
  t.equal(await session.value('select message_bus.notify_channel()'), row?.name);
  await t.rejects(session.value('select message_bus.node_state()'), { code: '42501' });
});
