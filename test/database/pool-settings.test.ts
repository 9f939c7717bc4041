import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import t, { type Test } from 'tap';
import { startBlackHole } from '../helpers/black-hole.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { createRole } from '../helpers/role.js';
import { until } from '../helpers/until.js';

/** A bus on a pool of the application's own that listens, and has heard a message. */
async function openOnPool(t: Test, config: pg.PoolConfig) {
  const pool = new pg.Pool(config);
  pool.on('error', () => {});
  t.teardown(() => pool.end());
  const bus = openBus(t, '', { pool });
  const heard: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => heard.push(data));
  await until(() => bus.isConnected, 'the bus listens');
  await bus.publish('/a', 1);
  await until(() => heard.length === 1, 'the message came');
  return { pool, bus };
}

const listening = `select pid from pg_stat_activity where application_name = 'postbus listener' and datname = current_database()`;

t.test('a Unix socket, and settings of the session', async (t) => {
  const database = await createDatabase(t);
  const { hostname, port, username, password } = new URL(database.url);
  const folder = mkdtempSync(join(tmpdir(), 'postbus-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const begins: string[] = [];
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    near.once('data', (data) => begins.push(data.toString('latin1')));
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(join(folder, '.s.PGSQL.7777'), resolve));
  t.teardown(() => server.close());

  await openOnPool(t, {
    host: folder,
    port: 7777,
    user: username,
    password,
    database: database.name,
    options: '-c search_path=elsewhere',
    statement_timeout: 54_321,
  });
  t.ok(begins.length >= 2, 'the pool and the listener');
  t.equal(begins.filter((begin) => begin.includes('postbus listener')).length, 1);
  for (const begin of begins) {
    t.match(begin, /options\0[^\0]*-c search_path=elsewhere\0/);
    t.ok(begin.includes('statement_timeout\x0054321\0'), begin);
  }
});

t.test('a password that is asked for, at each connection', async (t) => {
  const database = await createDatabase(t);
  const { role } = await createRole(t, database);
  await database.query(`grant usage on schema message_bus to ${role}`);
  await database.query(`grant execute on all functions in schema message_bus to ${role}`);
  const { hostname, port } = new URL(database.url);
  let current = 'secret';
  const { bus } = await openOnPool(t, {
    host: hostname,
    port: Number(port),
    user: role,
    database: database.name,
    password: async () => current,
  });
  const [before] = await database.query(listening);
  current = 'changed';
  await database.query(`alter role ${role} password '${current}'`);
  await database.query(`select pg_terminate_backend($1)`, [before?.pid]);
  await until(() => !bus.isConnected, 'it notices');
  await until(() => bus.isConnected, 'it listens again');
  t.not((await database.query(listening))[0]?.pid, before?.pid);
});

t.test(
  'connections that the application makes itself, each ended, also where the other end has vanished',
  async (t) => {
    const database = await createDatabase(t);
    for (const vanishes of [false, true]) {
      const blackHole = await startBlackHole(t, database.url);
      const streams: Socket[] = [];
      const { bus, pool } = await openOnPool(t, {
        connectionString: blackHole.url,
        stream: () => {
          const socket = new Socket();
          streams.push(socket);
          return socket;
        },
      });
      const open = () => streams.filter((socket) => !socket.destroyed).length;
      t.equal(open(), pool.totalCount + 1, 'those of the pool and that of the listener');
      if (vanishes) blackHole.swallow();
      await bus.close();
      t.equal(open(), pool.totalCount, 'the listener has let go of its own');
      blackHole.letThrough();
    }
  },
);
