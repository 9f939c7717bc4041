import type { FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { createServer } from '../../src/server/create-server.js';
import { isLoopback } from '../../src/server/host-check.js';
import { run, startServer } from '../helpers/command.js';
import { createDatabase } from '../helpers/database.js';
import { sendRaw } from '../helpers/raw-request.js';

const { url: connectionString, query } = await createDatabase(t);
await query(`select message_bus.publish('/secret', '"nobody else may read this"')`);

async function serve(t: Test, hosts: string[] | undefined): Promise<{ app: FastifyInstance; url: string }> {
  const app = await createServer({ connectionString, schema: 'message_bus', logLevel: 'silent', hosts });
  t.teardown(() => app.close());
  return { app, url: await app.listen({ port: 0, host: '127.0.0.1' }) };
}

const body = '/secret=0';
const pollFor = (headers: string[], target = '/message-bus/c/poll?dlp=t', version = '1.1') =>
  [
    `POST ${target} HTTP/${version}`,
    ...headers,
    'content-type: application/x-www-form-urlencoded',
    `content-length: ${body.length}`,
    'connection: close',
    '',
    body,
  ].join('\r\n');

t.test('on loopback, a page whose name leads to 127.0.0.1 reads nothing', async (t) => {
  const { url } = await serve(t, []);
  const port = new URL(url).port;
  for (const headers of [
    ['host: evil.test'],
    [`host: evil.test:${port}`],
    ['host: localhost.evil.test'],
    ['host: 127.0.0.1.evil.test'],
    ['host: localhost@evil.test'],
    ['host: evil.test#localhost'],
    ['host: localhost/evil.test'],
    ['host: [::2]'],
    ['host: [::1'],
    ['host: 10.0.0.1'],
    ['host:'],
    ['host: evil.test', 'x-forwarded-host: localhost'],
    ['host: evil.test', 'forwarded: host=localhost'],
    ['host: localhost', 'host: evil.test'],
    ['host: evil.test', 'host: localhost'],
  ]) {
    const { status, head, body } = await sendRaw(url, pollFor(headers));
    t.ok(status === 421 || status === 400, `${headers}: ${status}`);
    t.notMatch(body, /nobody else/, String(headers));
    if (status === 421) t.match(JSON.parse(body), { statusCode: 421, code: 'POSTBUS_BAD_HOST' });
    t.match(head, /x-content-type-options: nosniff/i);
  }
  for (const [target, headers] of [
    ['http://evil.test/message-bus/c/poll?dlp=t', ['host: localhost']],
    ['http://localhost/message-bus/c/poll?dlp=t', ['host: evil.test']],
    ['http://localhost@evil.test/message-bus/c/poll?dlp=t', ['host: localhost']],
  ] as const) {
    const { status, body } = await sendRaw(url, pollFor([...headers], target));
    t.equal(status, 421, target);
    t.notMatch(body, /nobody else/, target);
  }
  t.equal((await sendRaw(url, pollFor([], undefined, '1.0'))).status, 421, 'HTTP/1.0 without a host');
  for (const path of ['/health/live', '/health/ready', '/nowhere', '/message-bus/_diagnostics']) {
    const { status } = await sendRaw(url, `GET ${path} HTTP/1.1\r\nhost: evil.test\r\nconnection: close\r\n\r\n`);
    t.equal(status, 421, path);
  }
  const options = `OPTIONS /message-bus/c/poll HTTP/1.1\r\nhost: evil.test\r\nconnection: close\r\n\r\n`;
  t.equal((await sendRaw(url, options)).status, 421);
});

t.test('on loopback, every spelling of this machine is served', async (t) => {
  const { url } = await serve(t, []);
  for (const host of [
    'localhost',
    'LocalHost',
    'localhost.',
    'localhost:3000',
    'localhost.:80',
    '127.0.0.1',
    '127.0.0.1:1',
    '[::1]',
    '[::1]:3000',
    '[0:0:0:0:0:0:0:1]',
  ]) {
    const { status, body } = await sendRaw(url, pollFor([`Host: ${host}`]));
    t.equal(status, 200, host);
    t.match(body, /nobody else/, host);
  }
  t.equal((await sendRaw(url, pollFor(['host: localhost'], 'http://localhost/message-bus/c/poll?dlp=t'))).status, 200);
});

t.test('hosts that are named are served as well; with *, all are', async (t) => {
  const named = await serve(t, ['bus.example.org', '[2001:db8::1]']);
  for (const [host, status] of [
    ['bus.example.org', 200],
    ['BUS.example.org.:8080', 200],
    ['[2001:DB8:0::1]', 200],
    ['localhost', 200],
    ['example.org', 421],
    ['x.bus.example.org', 421],
  ] as const) {
    t.equal((await sendRaw(named.url, pollFor([`host: ${host}`]))).status, status, host);
  }
  for (const hosts of [['*'], undefined]) {
    const { url } = await serve(t, hosts);
    t.equal((await sendRaw(url, pollFor(['host: evil.test']))).status, 200);
  }
});

t.test('postbus serve checks hosts on loopback, unless told otherwise', async (t) => {
  const env = { DATABASE_URL: connectionString };
  const status = async (url: string, host: string) => (await sendRaw(url, pollFor([`host: ${host}`]))).status;
  const byDefault = await startServer(t, [], { env });
  t.equal(await status(byDefault.url, 'evil.test'), 421);
  t.equal(await status(byDefault.url, 'localhost'), 200);
  const byOption = await startServer(t, ['--hosts', 'a.test,b.test'], { env });
  t.equal(await status(byOption.url, 'b.test'), 200);
  t.equal(await status(byOption.url, 'c.test'), 421);
  const byVariable = await startServer(t, [], { env: { ...env, HOSTS: '*' } });
  t.equal(await status(byVariable.url, 'evil.test'), 200);
  const elsewhere = await startServer(t, ['--host', '0.0.0.0'], { env });
  const url = elsewhere.url.replace('0.0.0.0', '127.0.0.1');
  t.equal(await status(url, 'evil.test'), 200, 'on other addresses it is not checked');
  const { code, stderr } = await run(t, ['serve', '--hosts', 'https://a.test'], { env });
  t.equal(code, 2);
  t.match(stderr, /a host looks like example.org/);
});

t.test('an address is loopback in each of its spellings', async (t) => {
  for (const host of [
    'localhost',
    'LOCALHOST',
    '127.0.0.1',
    '127.8.8.8',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
  ]) {
    t.ok(isLoopback(host), host);
  }
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'example.org', '::ffff:10.0.0.1', '127.0.0.1.example.org']) {
    t.notOk(isLoopback(host), host);
  }
});
