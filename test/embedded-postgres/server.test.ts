import { existsSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import t from 'tap';
import { startEmbeddedPostgres } from '../../src/embedded-postgres/index.js';
import { openFolder, remove } from './fixtures/installation.js';
import { isAlive } from './fixtures/processes.js';
import { connect, query } from './fixtures/query.js';

const settings = { fsync: 'off' };

t.test('a temporary server', async (t) => {
  const temporary = openFolder();
  t.teardown(() => remove(temporary));
  const tmpdir = process.env.TMPDIR;
  process.env.TMPDIR = temporary;
  const server = await startEmbeddedPostgres({
    settings: { ...settings, work_mem: '7MB', listen_addresses: '*', port: '1' },
  });
  if (tmpdir === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = tmpdir;
  t.teardown(() => server.stop());

  await t.test('accepts connections with its password only', async (t) => {
    t.match(server.url, new RegExp(`^postgres://postgres:[\\w-]{20,}@127\\.0\\.0\\.1:${server.port}/postgres$`));
    t.same(await query(server.url, 'select 1 as one'), [{ one: 1 }]);
    const wrong = new URL(server.url);
    wrong.password = 'wrong';
    await t.rejects(query(wrong.href, 'select 1'), { code: '28P01' });
    t.ok(isAlive(server.postmasterPid));
  });

  await t.test('has the settings asked for, and its own where the address depends on them', async (t) => {
    const rows = await query(
      server.url,
      "select name, setting from pg_settings where name in ('fsync','listen_addresses','log_timezone','password_encryption'," +
        "'port','server_encoding','TimeZone','unix_socket_directories','work_mem')",
    );
    t.same(Object.fromEntries(rows.map(({ name, setting }) => [name, setting])), {
      fsync: 'off',
      listen_addresses: '127.0.0.1',
      log_timezone: 'UTC',
      password_encryption: 'scram-sha-256',
      port: String(server.port),
      server_encoding: 'UTF8',
      TimeZone: 'UTC',
      unix_socket_directories: '',
      work_mem: '7168',
    });
    t.same(await query(server.url, "select upper('é') as upper"), [{ upper: 'É' }]);
  });

  const folders = () => readdirSync(temporary).filter((name) => name.startsWith('postbus-'));
  await t.test('stops under load, once, and leaves nothing behind', async (t) => {
    t.not(folders().length, 0);
    const clients = await Promise.all(Array.from({ length: 10 }, () => connect(server.url)));
    const busy = clients.map((client) =>
      client.query('select count(*) from generate_series(1, 1e12)').catch(() => 'ended'),
    );
    const [first, second] = [server.stop(), server.stop()];
    await Promise.all([first, second, server.stopped]);
    t.same(new Set(await Promise.all(busy)), new Set(['ended']));
    await server.stop();
    t.notOk(isAlive(server.postmasterPid));
    t.same(folders(), []);
  });
});

t.test('several at the same time do not disturb each other', async (t) => {
  const servers = await Promise.all([1, 2, 3].map(() => startEmbeddedPostgres({ settings })));
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  t.equal(new Set(servers.map(({ port }) => port)).size, 3);
  const [one, ...others] = servers;
  await one?.stop();
  for (const other of others) t.same(await query(other.url, 'select 1 as one'), [{ one: 1 }]);
});

t.test('the port', async (t) => {
  const folder = openFolder();
  t.teardown(() => remove(folder));

  const first = await startEmbeddedPostgres({ folder, settings });
  await query(first.url, 'create table kept (id int)');
  await first.stop();

  const second = await startEmbeddedPostgres({ folder, settings });
  t.equal(second.url, first.url, 'is the one of the last run');
  t.same(await query(second.url, 'select * from kept'), [], 'and so are the data');
  await second.stop();

  const squatter = createServer().listen(first.port, '127.0.0.1');
  t.teardown(() => squatter.close());
  const third = await startEmbeddedPostgres({ folder, settings });
  t.not(third.port, first.port, 'is another one when that is taken');
  await third.stop();

  await t.rejects(startEmbeddedPostgres({ folder, settings, port: first.port }), {
    code: 'POSTBUS_EMBEDDED_PORT',
    message: new RegExp(`Port ${first.port} of 127\\.0\\.0\\.1 is taken`),
  });

  const fourth = await startEmbeddedPostgres({ folder, settings, port: third.port });
  t.equal(fourth.port, third.port, 'is the one asked for');
  await fourth.stop();
  t.ok(existsSync(folder));
});
