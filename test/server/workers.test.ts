import { createServer } from 'node:net';
import pg from 'pg';
import t from 'tap';
import { type Command, run, startServer } from '../helpers/command.js';
import { createDatabase, type TestDatabase } from '../helpers/database.js';
import { PollingClient } from '../helpers/polling-client.js';
import { poll, stream } from '../helpers/server.js';
import { until } from '../helpers/until.js';
import { isReady, publishBySql, quiet } from './fixtures/running-server.js';

// A connection of its own for each request: they go to the workers in turn.
const headers = { connection: 'close' };

/** What a server logs, where it is asked to be talkative. */
function linesOf(command: Command): { pid: number; msg: string; pause?: number }[] {
  const lines = command.stderr().split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line));
}

/** The worker that got each request. */
function requestsOf(command: Command): number[] {
  return linesOf(command).flatMap(({ pid, msg }) => (msg === 'incoming request' ? [pid] : []));
}

function workersOf(command: Command): number[] {
  return linesOf(command).flatMap(({ pid, msg }) => (msg.startsWith('Server listening') ? [pid] : []));
}

/** A node has one connection that listens. */
function nodeCount({ query }: TestDatabase): Promise<number> {
  const listeners = `select from pg_stat_activity where datname = current_database() and application_name = 'postbus listener'`;
  return query(listeners).then((rows) => rows.length);
}

t.test('several processes serve one port, and one stop ends them all', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const server = await startServer(t, ['--workers', '3'], { env: { DATABASE_URL: database.url } });
  await until(async () => (await nodeCount(database)) === 3, 'there are three nodes');

  const polls = Array.from({ length: 6 }, (_, i) => poll(server.url, { '/chat': 0 }, { client: `poll${i}`, headers }));
  const streams = Array.from({ length: 3 }, (_, i) => stream(server.url, { '/b': 0 }, { client: `s${i}`, headers }));
  for (const frames of streams) t.strictSame((await frames.next()).value, []);
  for (let i = 0; i < 6; i++) await until(() => isReady(server.url), 'any worker answers that it is ready');
  await publishBySql(database.url, 'hello');
  for (const { messages } of await Promise.all(polls)) t.match(messages, [{ message_id: 1, data: 'hello' }]);

  const parked = poll(server.url, { '/b': 0 }, { headers });
  // On each worker, a later poll of this client is answered after it has been parked.
  for (let i = 0; i < 3; i++) await poll(server.url, { '/b': 0 }, { dlp: true, headers, client: 'other' });
  server.child.kill('SIGTERM');
  for (const frames of streams) {
    t.strictSame((await frames.next()).value, []);
    t.equal((await frames.next()).done, true);
  }
  t.equal((await parked).text, '[]');
  t.equal(await server.ended, 0);
  t.match({ stdout: server.stdout(), stderr: server.stderr() }, quiet, 'has said nothing else');
  await until(async () => (await nodeCount(database)) === 0, 'no connection is left');
});

t.test('a newer poll on another worker: whichever the client listens to, it misses nothing', async (t) => {
  const { url } = await createDatabase(t);
  const server = await startServer(t, ['--workers', '4'], { env: { DATABASE_URL: url } });
  const bus = new pg.Pool({ connectionString: url, max: 8 });
  t.teardown(() => bus.end());
  const channels = ['/a', '/b'];
  const clients = Array.from(
    { length: 12 },
    (_, i) =>
      new PollingClient({
        id: `client${i}`,
        urls: [server.url],
        channels: { '/a': 0, '/b': 0 },
        modes: ['short', 'long', 'stream'],
        headers,
        isRestless: true,
      }),
  );
  t.teardown(() => Promise.all(clients.map((client) => client.stop())));
  const rounds = 150;
  const publishers = Array.from({ length: 4 }, async (_, i) => {
    for (let round = 0; round < rounds; round++) {
      await bus.query('select message_bus.publish($1, to_jsonb($2::int))', [channels[(i + round) % 2], round]);
    }
  });
  await Promise.all(publishers);
  const expected = Array.from({ length: 2 * rounds }, (_, i) => i + 1);
  for (const client of clients) {
    for (const channel of channels) {
      await until(() => client.position(channel) === expected.length, `a client has caught up on ${channel}`);
      t.strictSame(client.received.get(channel), expected, 'each once, in order');
    }
    t.strictSame(client.faults, []);
  }
});

t.test('a worker that dies takes its own polls with it, and is replaced', async (t) => {
  const database = await createDatabase(t);
  const env = { DATABASE_URL: database.url, LOG_LEVEL: 'info' };
  const server = await startServer(t, ['--workers', '2'], { env });
  t.equal(workersOf(server).length, 2);

  const polls = Array.from({ length: 6 }, (_, i) =>
    poll(server.url, { '/chat': 0 }, { client: `poll${i}`, headers }).then(
      ({ messages }) => messages.length,
      () => 'broken',
    ),
  );
  await until(
    () => linesOf(server).filter(({ msg }) => msg === 'incoming request').length === 6,
    'the polls are there',
  );
  const victim = requestsOf(server)[0] ?? 0;
  const broken = requestsOf(server).filter((pid) => pid === victim).length;
  process.kill(victim, 'SIGKILL');
  await until(() => workersOf(server).length === 3, 'there is another one');
  await publishBySql(database.url, 'hello');
  const answers = await Promise.all(polls);
  t.equal(answers.filter((answer) => answer === 'broken').length, broken, 'those that it had');
  t.equal(answers.filter((answer) => answer === 1).length, 6 - broken, 'the others get the message');
  for (let i = 0; i < 4; i++) await until(() => isReady(server.url), 'both are ready');

  // One that does so again and again is given ever more time.
  process.kill(workersOf(server).at(-1) ?? 0, 'SIGKILL');
  await until(() => workersOf(server).length === 4, 'there is another one');
  const pauses = linesOf(server).flatMap(({ msg, pause }) => (/^a worker has ended/.test(msg) ? [pause] : []));
  t.strictSame(pauses, [250, 500]);
  server.child.kill('SIGINT');
  t.equal(await server.ended, 0);
});

t.test('what cannot be served, is told once', async (t) => {
  const { url } = await createDatabase(t);
  const occupant = createServer().listen(0, '127.0.0.1');
  t.teardown(() => occupant.close());
  await until(() => occupant.listening, 'the port is taken');
  const address = occupant.address();
  const port = String(typeof address === 'object' ? address?.port : '');
  const outcome = await run(t, ['serve', '--workers', '3', '--port', port], { env: { DATABASE_URL: url } });
  t.strictSame([outcome.code, outcome.stdout], [1, '']);
  t.match(JSON.parse(outcome.stderr), {
    err: { code: 'POSTBUS_CANNOT_LISTEN' },
    msg: /^Cannot listen on .* the port is taken.*\(POSTBUS_CANNOT_LISTEN\)$/,
  });
});
