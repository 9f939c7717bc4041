import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import t, { type Test } from 'tap';
import { startEmbeddedPostgres } from '../../src/embedded-postgres/index.js';
import type { Bus, Message } from '../../src/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../helpers/database.js';
import { SteadyPublisher } from '../helpers/steady-publisher.js';
import { until } from '../helpers/until.js';

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
const listeners = `from pg_stat_activity where application_name = 'postbus listener' and datname = current_database()`;

async function terminateListeners(database: TestDatabase): Promise<void> {
  await database.query(`select pg_terminate_backend(pid) ${listeners}`);
}

/** What a subscriber gets, from the beginning. */
async function record(bus: Bus, channel: string | null): Promise<Message[]> {
  const received: Message[] = [];
  await bus.subscribe(channel, (message) => received.push(message), { lastId: 0 });
  return received;
}

t.test('a listener that is ended again and again misses nothing and repeats nothing', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  await bus.connect();
  const received = await record(bus, '/a');
  const all = await record(bus, null);
  const publishers = numbers(3).map(() => new SteadyPublisher(t, database.url, '/a'));
  for (let round = 0; round < 15; round++) {
    await until(() => bus.isConnected, 'it listens');
    await delay(Math.random() * 50);
    await terminateListeners(database);
    await until(() => !bus.isConnected, 'it notices');
  }
  for (const publisher of publishers) await publisher.stop();
  const last = await bus.lastId('/a');
  await until(() => received.at(-1)?.messageId === last && all.at(-1)?.globalId === last, 'the last one came');
  t.ok(last > 100, `${last} messages`);
  t.strictSame(
    received.map((message) => message.messageId),
    numbers(last),
  );
  t.strictSame(
    all.map((message) => message.globalId),
    numbers(last),
  );
  for (const { acknowledged } of publishers) {
    for (const [id, number] of acknowledged) if (received[id - 1]?.data !== number) t.fail(`message ${id}`);
  }
});

t.test('an outage of Postgres', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'postbus-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  let server = await startEmbeddedPostgres({ folder });
  t.teardown(() => server.stop());
  const bus = openBus(t, server.url);
  await bus.migrate();
  const received = await record(bus, '/a');
  await bus.publish('/a', 'before');
  await until(() => received.length === 1, 'the first one came');

  await server.stop();
  await until(() => !bus.isConnected, 'it notices');
  await delay(3_000);
  await t.rejects(bus.publish('/a', 'while'), { code: 'POSTBUS_NO_SERVER' });
  t.equal(bus.isConnected, false);

  server = await startEmbeddedPostgres({ folder, port: server.port });
  const client = new pg.Client(server.url);
  await client.connect();
  await client.query(`select message_bus.publish('/a', '"after"')`);
  await client.end();
  await until(() => received.length === 2, 'what was published first thing after it came');
  t.equal(await bus.publish('/a', 'later'), 3);
  await until(() => received.length === 3, 'and what came later');
  t.strictSame(
    received.map((message) => message.data),
    ['before', 'after', 'later'],
  );
  t.equal(bus.log.filter((line) => line.message.startsWith('not listening')).length, 1, 'one line an outage');
});

const closeAtRandom = `
  const { createBus } = await import(process.env.POSTBUS);
  const logger = { warn() {}, error() {} };
  const one = async () => {
    const bus = createBus({ connectionString: process.env.URL, logger });
    const used = Promise.allSettled([bus.subscribe('/a', () => {}, { lastId: 0 }), bus.publish('/a', 1), bus.connect()]);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * Number(process.env.MS)));
    await bus.close();
    await used;
    return bus.isConnected;
  };
  const connected = await Promise.all(Array.from({ length: 20 }, one));
  console.log(connected.some(Boolean) ? 'still connected' : 'closed');
`;

/** Runs buses that are closed at random moments; resolves when their process has ended by itself. */
async function runChild(t: Test, url: string, ms: number): Promise<string> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', closeAtRandom], {
    env: { ...process.env, URL: url, MS: String(ms), POSTBUS: new URL('../../dist/index.js', import.meta.url).href },
  });
  t.teardown(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (data) => {
    output += data;
  });
  child.stderr.on('data', (data) => {
    output += data;
  });
  await until(() => child.exitCode !== null || child.signalCode !== null, `it ends by itself; so far: ${output}`);
  return `${output.trim()} ${child.exitCode ?? child.signalCode}`;
}

t.test('closed at any moment, nothing is left', async (t) => {
  const database = await createDatabase(t);
  let done = false;
  const ending = (async () => {
    while (!done) {
      await terminateListeners(database);
      await delay(Math.random() * 20);
    }
  })();
  const gone = new URL(database.url);
  gone.port = '1';
  const outcomes = await Promise.all([
    ...[30, 150, 400].map((ms) => runChild(t, database.url, ms)),
    runChild(t, gone.href, 200),
  ]);
  done = true;
  await ending;
  t.strictSame(
    outcomes,
    outcomes.map(() => 'closed 0'),
  );
  await until(async () => {
    const rows = await database.query(
      `select from pg_stat_activity where datname = current_database() and application_name like 'postbus%'`,
    );
    return rows.length === 0;
  }, 'no backend is left');
});
