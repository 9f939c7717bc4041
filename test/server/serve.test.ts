import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { makeFolder, run, startServer } from '../helpers/command.js';
import { createDatabase, databaseUrl } from '../helpers/database.js';
import { poll, stream } from '../helpers/server.js';
import { until } from '../helpers/until.js';
import { isReady, publishBySql, quiet } from './fixtures/running-server.js';

t.test('on a database that is given', async (t) => {
  const { url: DATABASE_URL } = await createDatabase(t, { migrated: false });
  const cwd = makeFolder(t);
  const servers = await Promise.all([1, 2, 3].map(() => startServer(t, [], { cwd, env: { DATABASE_URL } })));
  t.notOk(existsSync(join(cwd, '.postbus')), 'nothing is embedded');
  for (const { url } of servers) await until(() => isReady(url), 'all became ready, having migrated at the same time');

  const parked = servers.map(({ url }) => poll(url, { '/chat': 0 }));
  await publishBySql(DATABASE_URL, 'hello');
  for (const { messages } of await Promise.all(parked)) t.match(messages, [{ message_id: 1, data: 'hello' }]);

  for (const [i, server] of servers.entries()) {
    server.child.kill(i === 0 ? 'SIGINT' : 'SIGTERM');
    t.equal(await server.ended, 0);
    t.match({ stdout: server.stdout(), stderr: server.stderr() }, quiet);
  }
});

t.test('a stop releases those who wait', async (t) => {
  const { url: DATABASE_URL } = await createDatabase(t);
  const server = await startServer(t, ['--host', 'localhost'], { env: { DATABASE_URL } });
  t.match(server.url, /^http:\/\/localhost:\d+$/);
  const frames = stream(server.url, { '/a': 0 }, { client: 'streaming' });
  t.strictSame((await frames.next()).value, []);
  // The answer to the first of the client's polls tells that the second one is there.
  const older = poll(server.url, { '/a': 0, __seq: 1 }, { client: 'waiting' });
  await until(async () => (await poll(server.url, { '/b': -1 }, { dlp: true })).status === 200, 'polls are answered');
  const waiting = poll(server.url, { '/a': 0, __seq: 2 }, { client: 'waiting' });
  t.strictSame((await older).messages, []);

  server.child.kill('SIGTERM');
  t.strictSame([(await waiting).status, (await waiting).text], [200, '[]']);
  t.strictSame((await frames.next()).value, []);
  t.equal((await frames.next()).done, true);
  t.equal(await server.ended, 0);
});

/** A request that never comes to its end. */
async function stall(url: string, path: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  socket.write(`POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n`);
  await new Promise((resolve) => socket.write('expect: 100-continue\r\n\r\n{', resolve));
  await new Promise((resolve) => socket.once('data', resolve));
}

t.test('a client that stalls', async (t) => {
  const { url: DATABASE_URL } = await createDatabase(t);
  const patient = await startServer(t, [], { env: { DATABASE_URL } });
  // The stop that is forced must not be over by then: those of polls soon are.
  const impatient = await startServer(t, ['--demo'], { env: { DATABASE_URL } });
  await stall(patient.url, '/message-bus/a/poll');
  await stall(impatient.url, '/chat');
  patient.child.kill('SIGTERM');
  // As a Ctrl-C that npm passes on as well.
  patient.child.kill('SIGINT');
  let forced: unknown;
  void impatient.ended.then((code) => {
    forced = code;
  });
  await until(() => !impatient.child.kill('SIGINT') || forced !== undefined, 'a second Ctrl-C forced the end');
  t.equal(forced ?? (await impatient.ended), 1);
  t.equal(await patient.ended, 0, 'is cut off after a while');
});

t.test('what cannot be served', async (t) => {
  const { url } = await createDatabase(t);
  const cwd = makeFolder(t);
  const wrongPassword = new URL(url);
  wrongPassword.password = 'wrong';
  const occupant = createServer().listen(0, '127.0.0.1');
  t.teardown(() => occupant.close());
  await until(() => occupant.listening, 'the port is taken');
  const address = occupant.address();
  const port = String(typeof address === 'object' ? address?.port : '');
  const folder = join(cwd, 'embedded');
  mkdirSync(folder);
  const cases: [string, RegExp, string[], Record<string, string>, string?][] = [
    [
      'POSTBUS_CANNOT_LISTEN',
      /Cannot listen on 127\.0\.0\.1:\d+: the port is taken/,
      [],
      { DATABASE_URL: url, PORT: port },
    ],
    ['POSTBUS_CANNOT_LISTEN', /the port is taken/, ['--port', port], {}, folder],
    ['POSTBUS_CANNOT_LISTEN', /no such address/, ['--port', '0'], { DATABASE_URL: url, HOST: '192.0.2.1' }],
    [
      'POSTBUS_NO_SERVER',
      /127\.0\.0\.1:1/,
      ['--wait-for-database', '0', '--database-url', 'postgres://127.0.0.1:1/a'],
      {},
    ],
    ['POSTBUS_BAD_CREDENTIALS', /password/, [], { DATABASE_URL: wrongPassword.href }],
    ['POSTBUS_NO_DATABASE', /not_there/, [], { DATABASE_URL: databaseUrl(url, 'not_there') }],
    ['POSTBUS_BAD_OPTION', /schema/, ['--schema', 'a'.repeat(64)], { DATABASE_URL: url }],
  ];
  await Promise.all(
    cases.map(async ([code, message, args, env, folder = cwd]) => {
      const outcome = await run(t, ['serve', ...args], { cwd: folder, env });
      t.strictSame([outcome.code, outcome.stdout], [1, ''], code);
      const line = JSON.parse(outcome.stderr);
      t.match(line, { level: 60, err: { code }, msg: message }, 'one line');
      t.ok(line.msg.endsWith(`(${code})`));
    }),
  );
  t.strictSame(
    readdirSync(join(folder, '.postbus')).sort(),
    ['.gitignore', 'data', 'password', 'postgres.log', 'url'],
    'none runs',
  );
  t.notOk(existsSync(join(folder, '.postbus/data/postmaster.pid')));
});

t.test('warnings of packages come as one line of JSON: sslmode=require makes pg print several', async (t) => {
  const { url } = await createDatabase(t);
  // It is not waited for: the server is there.
  const env = { DATABASE_URL: `${url}?sslmode=require`, WAIT_FOR_DATABASE: '3600' };
  for (const args of [[], ['--workers', '2']]) {
    const { code, stderr } = await run(t, ['serve', ...args], { env });
    t.equal(code, 1, 'the server of the tests has no TLS');
    const lines = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    t.match(lines, [{ level: 40, msg: /^SECURITY WARNING: The SSL modes/ }, { level: 60 }]);
    t.equal(lines.length, 2);
  }
  // Logged by the process that has met it.
  const quietly = await run(t, ['serve'], { env: { ...env, LOG_LEVEL: 'silent' } });
  t.match(JSON.parse(quietly.stderr), { level: 60 }, 'why it could not start is told at every level');
});
