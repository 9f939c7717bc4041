import { generateKeyPairSync } from 'node:crypto';
import { type AddressInfo, createServer } from 'node:net';
import { rootCertificates } from 'node:tls';
import pg from 'pg';
import t, { type Test } from 'tap';
import { codedError } from '../../src/database/coded-error.js';
import { type Bus, createBus } from '../../src/index.js';
import { startBlackHole } from '../helpers/black-hole.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { createRole } from '../helpers/role.js';

// Whatever a program begins with, it is told what is wrong and what to do.
const beginnings: Record<string, (bus: Bus) => Promise<unknown>> = {
  connect: (bus) => bus.connect(),
  publish: (bus) => bus.publish('/a', 1),
  subscribe: (bus) => bus.subscribe('/a', () => {}),
  'subscribe to all': (bus) => bus.subscribe(null, () => {}),
  backlog: (bus) => bus.backlog('/a'),
  getMessage: (bus) => bus.getMessage('/a', 1),
  reset: (bus) => bus.reset(),
};

async function expectEach(t: Test, url: string, error: { code: string; message: RegExp }): Promise<void> {
  for (const [name, begin] of Object.entries(beginnings)) {
    const bus = openBus(t, url);
    await t.rejects(begin(bus), { statusCode: 503, ...error }, name);
    await bus.close();
  }
}

t.test('nothing listens', async (t) => {
  const { url } = await createDatabase(t);
  const nobody = new URL(url);
  nobody.port = '1';
  await expectEach(t, nobody.href, {
    code: 'POSTBUS_NO_SERVER',
    message: /:1\. Check that it runs, and the connection/,
  });
});

t.test('a host that does not exist', async (t) => {
  const error = { code: 'POSTBUS_NO_SERVER', message: /Check that it runs, and the connection string/ };
  await expectEach(t, 'postgres://postgres:x@no-such-host.invalid/postgres', error);
});

t.test('a server that says nothing', async (t) => {
  const { url } = await createDatabase(t);
  const hole = await startBlackHole(t, url);
  hole.swallow();
  const bus = openBus(t, hole.url);
  const error = { code: 'POSTBUS_NO_SERVER', message: /timeout.*Check that it runs, and the connection string/ };
  // All at once: each waits for the time that a connection may take.
  await Promise.all(Object.entries(beginnings).map(([name, begin]) => t.rejects(begin(bus), error, name)));
});

t.test('a server that falls silent under a message', async (t) => {
  const { url } = await createDatabase(t);
  const hole = await startBlackHole(t, url);
  const bus = openBus(t, hole.url, { queryTimeout: 3_000 });
  await bus.publish('/a', 1);
  hole.swallow();
  const lost = { code: 'POSTBUS_CONNECTION_LOST', statusCode: 503 };
  await t.rejects(bus.publish('/a', 2), lost);
  hole.letThrough();
  t.ok((await bus.publish('/a', 3)) >= 2, 'a new connection is made');
});

t.test('close() does not wait for a server that has fallen silent', async (t) => {
  const { url } = await createDatabase(t);
  const hole = await startBlackHole(t, url);
  const bus = openBus(t, hole.url);
  await bus.publish('/a', 1);
  hole.swallow();
  const sent = Promise.allSettled([bus.publish('/a', 2), bus.backlog('/a')]);
  await bus.close();
  for (const outcome of await sent)
    t.match(outcome, { status: 'rejected', reason: { code: /^POSTBUS_(CONNECTION_LOST|CLOSED)$/ } });
});

t.test('a connection that forgets prepared statements, as behind a pooler', async (t) => {
  const { url, pool } = await createDatabase(t);
  const shared = new pg.Pool({ connectionString: url, max: 1 });
  t.teardown(() => shared.end());
  const bus = openBus(t, url, { pool: shared });
  t.equal(await bus.publish('/a', 1), 1);
  t.equal(await bus.lastId('/a'), 1);
  await shared.query('deallocate all');
  t.equal(await bus.publish('/a', 2), 2);
  await shared.query('deallocate all');
  t.equal(await bus.lastId('/a'), 2);
  t.strictSame((await pool.query('select message_bus.last_id($1)::int as id', ['/a'])).rows, [{ id: 2 }]);
});

t.test('a connection that times out under a message may have delivered it', async (t) => {
  for (const syscall of ['read', 'write']) {
    const error = Object.assign(new Error(`${syscall} ETIMEDOUT`), { code: 'ETIMEDOUT', syscall });
    t.match(codedError(error, 'message_bus'), { code: 'POSTBUS_CONNECTION_LOST' });
  }
  const refused = Object.assign(new Error('connect ETIMEDOUT'), { code: 'ETIMEDOUT', syscall: 'connect' });
  t.match(codedError(refused, 'message_bus'), { code: 'POSTBUS_NO_SERVER' });
});

t.test('a wrong password', async (t) => {
  const { url } = await createDatabase(t);
  const wrong = new URL(url);
  wrong.password = 'wrong';
  const message = /password authentication failed .*\. Check user and password/;
  await expectEach(t, wrong.href, { code: 'POSTBUS_BAD_CREDENTIALS', message });
});

t.test('no password where one is wanted', async (t) => {
  const { url } = await createDatabase(t);
  const without = new URL(url);
  without.password = '';
  await expectEach(t, without.href, { code: 'POSTBUS_BAD_CREDENTIALS', message: /wants a password\. Check user and/ });
});

t.test('a server without TLS, where it is asked for', async (t) => {
  const { url } = await createDatabase(t);
  const message = /not support SSL.*turn on ssl .*sslmode=disable in the connection string/;
  await expectEach(t, `${url}?sslmode=verify-full`, { code: 'POSTBUS_NO_SERVER', message });
});

t.test('TLS that fails', async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write('S');
      socket.end('no TLS');
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const url = `postgres://a:b@127.0.0.1:${port}/a?sslmode=verify-full`;
  await expectEach(t, url, { code: 'POSTBUS_NO_SERVER', message: /the connection string/ });
  // What Node says of a server that hangs up in place of a handshake.
  const hungUp = new Error('Client network socket disconnected before secure TLS connection was established');
  t.match(codedError(Object.assign(hungUp, { code: 'ECONNRESET' }), 'message_bus'), { code: 'POSTBUS_NO_SERVER' });
  for (const code of ['DEPTH_ZERO_SELF_SIGNED_CERT', 'CERT_HAS_EXPIRED', 'ERR_TLS_CERT_ALTNAME_INVALID']) {
    const error = Object.assign(new Error('not trusted'), { code });
    t.match(codedError(error, 'message_bus'), { code: 'POSTBUS_NO_SERVER', message: /not trusted.*sslrootcert=/ });
  }
});

t.test('files of TLS that cannot be used are told of when the bus is made, without the password', (t) => {
  const folder = t.testdir({
    'no.pem': 'nonsense',
    'empty.pem': '',
    'sound.pem': String(rootCertificates[0]),
    'key.pem': generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
    'ca.pem': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
  });
  const cases: Record<string, RegExp> = {
    'sslmode=verify-full&sslrootcert=/not/there.pem': /in sslrootcert that cannot be read \(ENOENT.*there\.pem/,
    'sslcert=/not/there.pem': /in sslcert that cannot be read/,
    'sslkey=/not/there.pem': /in sslkey that cannot be read/,
    [`sslrootcert=${folder}`]: /in sslrootcert that cannot be read \(EISDIR/,
    [`sslrootcert=${folder}/no.pem`]: /in sslrootcert that TLS does not take/,
    [`sslrootcert=${folder}/ca.pem`]: /in sslrootcert that TLS does not take/,
    [`sslrootcert=${folder}/empty.pem`]: /in sslrootcert that TLS does not take/,
    [`sslcert=${folder}/no.pem`]: /in sslcert that TLS does not take/,
    [`sslcert=${folder}/empty.pem`]: /in sslcert that TLS does not take/,
    [`sslkey=${folder}/no.pem`]: /in sslkey that TLS does not take/,
    [`sslkey=${folder}/empty.pem`]: /in sslkey that TLS does not take/,
    [`sslmode=verify-full&sslcert=${folder}/sound.pem`]: /has sslcert without sslkey/,
    [`sslcert=${folder}/sound.pem&sslkey=`]: /has sslcert without sslkey/,
    [`sslkey=${folder}/key.pem`]: /has sslkey without sslcert/,
    'sslmode=verify-full&sslrootcert=system':
      /sslrootcert=system, which only libpq knows. Leave it out.*NODE_EXTRA_CA_CERTS/,
    'sslmode=verify-ca&uselibpqcompat=true': /verify-ca, which needs .* sslrootcert=/,
  };
  for (const [query, message] of Object.entries(cases)) {
    const url = `postgres://a:se%2Fcret@127.0.0.1:1/a?${query}`;
    const error = { code: 'POSTBUS_BAD_OPTION', message };
    t.throws(() => createBus({ connectionString: url }), error, query);
    t.throws(
      () => createBus({ listenConnectionString: url }),
      { ...error, message: /^listenConnectionString: / },
      query,
    );
    try {
      createBus({ connectionString: url });
    } catch (error) {
      t.notMatch(String(error), /se(%2F|\/)cret/);
    }
  }
  t.end();
});

t.test('a role that may not create schemas is told which statement the owner of the database has to run', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const { role, url } = await createRole(t, database);
  const bus = openBus(t, url);
  const error: unknown = await bus.migrate().catch((error: unknown) => error);
  t.match(error, { code: 'POSTBUS_NO_PERMISSION' });
  const [statement = ''] = /create schema "message_bus" authorization "[^"]+"/.exec(String(error)) ?? [];
  t.ok(statement.includes(role), String(error));
  await database.query(statement);
  await bus.migrate();
  t.equal(await bus.publish('/a', 1), 1);
});

t.test('a database that does not exist', async (t) => {
  const { url } = await createDatabase(t);
  const missing = new URL(url);
  missing.pathname = '/nowhere';
  await expectEach(t, missing.href, { code: 'POSTBUS_NO_DATABASE', message: /"nowhere".*Create it/ });
});

t.test('a database that was not migrated', async (t) => {
  const { url } = await createDatabase(t, { migrated: false });
  await expectEach(t, url, { code: 'POSTBUS_NO_SCHEMA', message: /"message_bus".*postbus migrate.*bus\.migrate/ });
});

t.test('a role without rights', async (t) => {
  const database = await createDatabase(t);
  const { role, url } = await createRole(t, database);
  const error = { code: 'POSTBUS_NO_PERMISSION', message: /permission denied for schema message_bus.*grants/ };
  await expectEach(t, url, error);
  await database.query(`grant usage on schema message_bus to ${role}`);
  await expectEach(t, url, { code: 'POSTBUS_NO_PERMISSION', message: /permission denied for function .*grants/ });
});

t.test('a bus that could not begin goes on once it can', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const bus = openBus(t, database.url);
  await t.rejects(
    bus.subscribe('/a', () => {}),
    { code: 'POSTBUS_NO_SCHEMA' },
  );
  await bus.migrate();
  const received = new Promise((resolve) => {
    void bus.subscribe('/a', resolve).then(() => bus.publish('/a', 1));
  });
  t.match(await received, { data: 1 });
});
