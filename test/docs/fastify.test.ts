import Fastify from 'fastify';
import t, { type Test } from 'tap';
import ts from 'typescript';
import postbus from '../../src/fastify/index.js';
import { toSettings } from '../../src/fastify/options.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { blocksOf, readPage, rowsOf } from '../helpers/documentation.js';
import { runProgram } from '../helpers/documented-program.js';
import { json, send } from '../helpers/http.js';
import { poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const page = await readPage('docs/fastify.md');
const sources = blocksOf(page)
  .filter(({ language }) => language === 'ts')
  .map(({ text }) => text);

const noDatabase = 'postgres://nobody@127.0.0.1:1/none';

/** Runs the example that holds these words, until it listens. */
async function run(t: Test, words: string) {
  const found = sources.filter((text) => text.includes(words));
  t.equal(found.length, 1, words);
  const database = await createDatabase(t);
  const { output } = await runProgram(t, found[0] ?? '', database.url);
  const address = () => /http:\/\/127\.0\.0\.1:\d+/.exec(output())?.[0];
  await until(() => address() !== undefined, 'it listens');
  return { ...database, url: address() ?? '' };
}

t.test('the options are those of the plugin, with their defaults', async (t) => {
  const source = ts.createSourceFile('options.ts', await readPage('src/fastify/options.ts'), ts.ScriptTarget.ES2022);
  const names = source.statements
    .filter(ts.isInterfaceDeclaration)
    .filter(({ name }) => name.text === 'PostbusOptions')
    .flatMap(({ members }) => members.map(({ name }) => name?.getText(source)));
  const bus = openBus(t, noDatabase);
  const defaults = new Map<string, unknown>(Object.entries(toSettings({ bus })));
  const table = page.slice(page.indexOf('## Options'), page.indexOf('## Lookups'));
  const shown = rowsOf(table);
  t.strictSame(
    shown.map(([name]) => name),
    names,
  );
  for (const [name = '', value] of shown) {
    if (name !== 'bus') t.equal(String(defaults.get(name) ?? ''), value, name);
  }
});

t.test('the first example: users see what is for them', async (t) => {
  const { url } = await run(t, 'findSession');
  const answer = await send(`${url}/orders/7/pay`, { headers: json, body: '{}' });
  t.strictSame(JSON.parse(answer.text), { messageId: 1 });
  const ask = async (headers: Record<string, string>) =>
    (await poll(url, { '/orders/7': 0 }, { dlp: true, headers })).messages.map(({ channel, data }) => [channel, data]);
  t.strictSame(await ask({ authorization: 'secret' }), [['/orders/7', 'paid']]);
  t.strictSame(await ask({}), [['/__status', { '/orders/7': 1 }]]);
});

t.test('the example of sites', async (t) => {
  const { url, query } = await run(t, 'siteIdLookup');
  const published = async () => (await query('select from message_bus.global_backlog()')).length;
  await until(async () => (await published()) === 3, 'all is published');
  const { messages } = await poll(url, { '/news': 0, '/global/news': 0 }, { dlp: true });
  t.strictSame(messages.map(({ data }) => data).sort(), ['for all', 'for one']);
});

t.test('the example of scopes: hooks refuse polls and set headers', async (t) => {
  const { url } = await run(t, "prefix: '/members'");
  const path = `${url}/members/bus`;
  const refused = await poll(path, { '/a': -1 });
  t.strictSame(JSON.parse(refused.text), {
    statusCode: 401,
    code: 'LOG_IN',
    error: 'Unauthorized',
    message: 'Log in first',
  });
  const { messages, headers } = await poll(path, { '/a': -1 }, { headers: { authorization: 'x' } });
  t.match(messages, [{ channel: '/__status' }]);
  t.equal(headers.get('access-control-allow-origin'), 'https://example.org');
  const hangUp = new AbortController();
  const stream = await fetch(`${path}/message-bus/x/poll`, {
    method: 'POST',
    headers: { ...json, authorization: 'x' },
    body: '{"/a":0}',
    signal: hangUp.signal,
  });
  t.match(stream.headers.get('content-type'), 'text/plain');
  t.equal(stream.headers.get('access-control-allow-origin'), 'https://example.org');
  hangUp.abort();
  t.equal((await poll(url, { '/a': -1 })).status, 404);
});

t.test('the example of other origins', async (t) => {
  const { url } = await run(t, 'extraResponseHeadersLookup');
  const ask = async (origin: string) =>
    (await send(`${url}/message-bus/x/poll`, { method: 'OPTIONS', headers: { origin } })).headers;
  t.match(await ask('https://www.example.org'), {
    'access-control-allow-origin': 'https://www.example.org',
    'access-control-allow-headers': 'content-type, x-silence-logger, dont-chunk',
    vary: 'Origin',
  });
  const refused = await ask('https://example.com');
  t.notHas(refused, { 'access-control-allow-origin': /./ });
  t.equal(refused.vary, 'Origin');
});

t.test('the example of a rate limit: polls beyond it are refused, and told when to come back', async (t) => {
  const { url } = await run(t, 'rateLimit');
  const ask = () => poll(url, { '/a': 0 }, { dlp: true });
  for (let i = 0; i < 600; i += 100) await Promise.all(Array.from({ length: 100 }, ask));
  const { status, headers, text } = await ask();
  t.equal(status, 429);
  t.match(headers.get('retry-after'), /^\d+$/);
  t.match(JSON.parse(text), { statusCode: 429, error: 'Too Many Requests' });
});

t.test('the example of errors', async (t) => {
  const { url } = await run(t, 'onError');
  const { status, text } = await poll(url, { '/a': 0 }, { dlp: true });
  t.strictSame([status, text], [401, '{"sorry":"Log in first"}']);
  const headers = { authorization: 'secret' };
  t.equal((await poll(url, { '/a': 0 }, { dlp: true, headers })).text, '[]');
  t.equal((await poll(url, { __a: 0 }, { dlp: true, headers })).status, 400);
});

t.test('the example of diagnostics', async (t) => {
  const { url } = await run(t, 'isAdminLookup: (');
  const address = `${url}/message-bus/_diagnostics`;
  t.equal((await fetch(address)).status, 404);
  const response = await fetch(address, { headers: { authorization: 'secret' } });
  const section = page.slice(page.indexOf('## Diagnostics'), page.indexOf('## Behind a proxy'));
  const shown = rowsOf(section).flatMap(([names = '']) => names.split(', '));
  t.strictSame(Object.keys(Object(await response.json())).sort(), shown.sort());
});

t.test('the example of health', async (t) => {
  const { url } = await run(t, "'/ready'");
  await until(async () => (await fetch(`${url}/ready`)).status === 200, 'it is ready');
});

t.test('once in a scope, in as many scopes as one likes', async (t) => {
  const bus = openBus(t, noDatabase);
  const app = Fastify();
  t.teardown(() => app.close());
  for (const prefix of ['/one', '/two']) {
    await app.register(async (scope) => scope.register(postbus, { bus }), { prefix });
  }
  await app.ready();
  for (const prefix of ['/one', '/two']) {
    const { statusCode } = await app.inject({ method: 'OPTIONS', url: `${prefix}/message-bus/x/poll` });
    t.equal(statusCode, 200, prefix);
  }
  t.notOk(app.hasDecorator('messageBus'), 'the decoration stays in the scope');

  const other = Fastify();
  t.teardown(() => other.close());
  await other.register(postbus, { bus });
  await t.rejects(async () => other.register(postbus, { bus, prefix: '/again' }), {
    code: 'POSTBUS_REGISTERED_TWICE',
  });
});

t.test('an option that makes no sense fails the start', async (t) => {
  const app = Fastify();
  await t.rejects(async () => app.register(postbus, { bus: openBus(t, noDatabase), maxChannels: 0 }), {
    code: 'POSTBUS_BAD_OPTION',
    message: /^maxChannels: /,
  });
});
