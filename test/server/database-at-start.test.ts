import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { run, start, startServer } from '../helpers/command.js';
import { createDatabase, type TestDatabase } from '../helpers/database.js';
import { runRolesScript } from '../helpers/documented-roles.js';
import { freePort } from '../helpers/free-port.js';
import { poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';
import { isReady, publishBySql, quiet } from './fixtures/running-server.js';

const future = `insert into message_bus.schema_migration values ('9999_from_the_future', '2100-01-01T00:00:00.000Z');
  create or replace function message_bus.migrated_by() returns jsonb language sql immutable as
    $$ select '{"migration": "9999_from_the_future", "version": "99.0.0", "digest": "", "functions": ""}'::jsonb $$`;

async function functionsOf({ query }: TestDatabase): Promise<unknown> {
  return query(
    `select oid::regprocedure::text, xmin::text from pg_proc where pronamespace = 'message_bus'::regnamespace order by 1`,
  );
}

/** Leads to the database from when it is opened on; until then nobody listens there. */
async function lateWay(url: string) {
  const way = new URL(url);
  const target = { host: way.hostname, port: Number(way.port) };
  way.port = String(await freePort());
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const upstream = connect(target.port, target.host);
    for (const end of [socket, upstream]) sockets.add(end.on('error', () => {}));
    socket.pipe(upstream).pipe(socket);
  });
  return {
    url: way.href,
    open: async () => {
      await once(server.listen(Number(way.port), '127.0.0.1'), 'listening');
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

t.test('postbus serve waits for a database that is late, and says so in one line', async (t) => {
  const { url } = await createDatabase(t, { migrated: false });
  const way = await lateWay(url);
  t.teardown(way.close);
  const server = start(t, ['serve', '--port', '0'], { env: { DATABASE_URL: way.url } });
  await until(() => server.stderr().includes('\n'), 'it waits');
  await way.open();
  await until(() => server.stdout().includes('postbus listens'), 'it is ready', 60_000);
  t.match(
    server
      .stderr()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [{ level: 40, msg: 'waiting for the database', seconds: 30, err: { code: 'POSTBUS_NO_SERVER' } }],
  );
  t.equal(server.stderr().split('\n').length, 2);
});

t.test('postbus serve --wait-for-database: no longer than it says, and a stop ends the wait', async (t) => {
  const DATABASE_URL = `postgres://127.0.0.1:${await freePort()}/a`;
  const impatient = run(t, ['serve'], { env: { DATABASE_URL, WAIT_FOR_DATABASE: '1' } });
  const patient = start(t, ['serve', '--wait-for-database', '600'], { env: { DATABASE_URL } });
  await until(() => patient.stderr().includes('\n'), 'it waits');
  patient.child.kill('SIGTERM');
  t.equal(await patient.ended, 0);
  const { code, stderr } = await impatient;
  t.equal(code, 1);
  t.match(
    stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [
      { msg: 'waiting for the database', seconds: 1 },
      { level: 60, err: { code: 'POSTBUS_NO_SERVER' } },
    ],
  );
});

t.test('postbus serve runs as the node role of docs/roles.md, with --no-migrate and without', async (t) => {
  const database = await createDatabase(t);
  const { node } = await runRolesScript(t, database, 'message_bus');
  const before = await functionsOf(database);
  for (const env of [{}, { NO_MIGRATE: '1' }]) {
    const server = await startServer(t, [], { env: { DATABASE_URL: node.url, ...env } });
    await until(() => isReady(server.url), 'it is ready');
    const parked = poll(server.url, { '/chat': -2 });
    await publishBySql(database.url, 'hello');
    t.match((await parked).messages, [{ data: 'hello' }]);
    server.child.kill('SIGTERM');
    t.equal(await server.ended, 0);
    t.match({ stdout: server.stdout(), stderr: server.stderr() }, quiet);
  }
  t.strictSame(await functionsOf(database), before, 'it writes nothing');
});

t.test('postbus serve --no-migrate waits until somebody else has migrated, and creates nothing', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const env = { DATABASE_URL: database.url };
  const refused = await run(t, ['serve', '--no-migrate', '--wait-for-database', '0'], { env });
  t.match(JSON.parse(refused.stderr), { level: 60, err: { code: 'POSTBUS_NO_SCHEMA' } });
  const server = start(t, ['serve', '--port', '0', '--no-migrate'], { env });
  await until(() => server.stderr().includes('POSTBUS_NO_SCHEMA'), 'it waits');
  t.strictSame(await database.query(`select from pg_namespace where nspname = 'message_bus'`), []);
  t.equal((await run(t, ['migrate'], { env })).code, 0);
  await until(() => server.stdout().includes('postbus listens'), 'it is ready', 60_000);
});

t.test('a server that starts beside a newer schema serves on it, and leaves its functions as they are', async (t) => {
  const database = await createDatabase(t);
  const { node } = await runRolesScript(t, database, 'message_bus');
  await database.query(`${future}; create or replace function message_bus.last_id(channel text, site_id text default null) returns bigint
    language sql set search_path = message_bus, pg_temp return 7`);
  const before = await functionsOf(database);
  for (const url of [database.url, node.url]) {
    const server = await startServer(t, [], { env: { DATABASE_URL: url } });
    await until(() => isReady(server.url), 'it is ready');
    t.match(JSON.parse(server.stderr()), { level: 40, err: { code: 'POSTBUS_NEWER_SCHEMA' }, msg: /newer/ });
    const parked = poll(server.url, { '/chat': -2 });
    await publishBySql(database.url, 'hello');
    t.match((await parked).messages, [{ data: 'hello' }]);
    server.child.kill('SIGKILL');
    await server.ended;
  }
  t.strictSame(await functionsOf(database), before);

  await database.query('alter function message_bus.backlog rename to backlog_of_another_kind');
  const { code, stderr } = await run(t, ['serve'], { env: { DATABASE_URL: database.url } });
  t.equal(code, 1, 'a schema that lacks what this version calls is refused');
  t.match(JSON.parse(stderr), { err: { code: 'POSTBUS_NEWER_SCHEMA' } });
});

t.test(
  'a newer version whose functions alone are other ones is newer, too: no node puts the older ones back',
  async (t) => {
    const database = await createDatabase(t);
    await database.query(`do $do$ begin
    execute format('create or replace function message_bus.migrated_by() returns jsonb language sql immutable as %L',
      format('select %L::jsonb', message_bus.migrated_by() || '{"version": "99.0.0", "digest": "another"}'));
  end $do$`);
    const before = await functionsOf(database);
    const { code, stderr } = await run(t, ['migrate'], { env: { DATABASE_URL: database.url } });
    t.equal(code, 1);
    t.match(stderr, /99\.0\.0.*POSTBUS_NEWER_SCHEMA/);
    t.strictSame(await functionsOf(database), before);
  },
);
