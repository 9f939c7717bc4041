import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import pg from 'pg';
import type { Test } from 'tap';
import t from 'tap';
import { createServer } from '../../src/server/create-server.js';
import { makeFolder, run } from '../helpers/command.js';
import { createDatabase } from '../helpers/database.js';

async function openDemo(
  t: Test,
  { schema = 'message_bus', embedded = true }: { schema?: string; embedded?: boolean } = {},
): Promise<FastifyInstance & { databaseUrl: string }> {
  const { url } = await createDatabase(t);
  const app = await createServer({ connectionString: url, schema, demo: { embedded }, logLevel: 'silent' });
  t.teardown(() => app.close());
  await app.messageBus.migrate();
  return Object.assign(app, { databaseUrl: url });
}

const files = {
  '/': 'text/html; charset=utf-8',
  '/chat.css': 'text/css; charset=utf-8',
  '/chat.js': 'text/javascript; charset=utf-8',
  '/orders.js': 'text/javascript; charset=utf-8',
  '/ajax.js': 'text/javascript; charset=utf-8',
  '/message.js': 'text/javascript; charset=utf-8',
  '/message-bus-client.js': 'text/javascript; charset=utf-8',
  '/favicon.svg': 'image/svg+xml',
};

t.test('the page and what it needs', async (t) => {
  const app = await openDemo(t);
  for (const [url, type] of Object.entries(files)) {
    const { statusCode, headers } = await app.inject(url);
    t.strictSame([statusCode, headers['content-type'], headers['x-content-type-options']], [200, type, 'nosniff'], url);
    const policy = String(headers['content-security-policy']);
    t.match(policy, /default-src 'none'/);
    t.notMatch(policy, /unsafe|\*|http/);
  }
  const { body } = await app.inject('/');
  const used = [...body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url ?? '');
  t.ok(used.length > 3);
  for (const url of used) t.ok(url in files, `${url} is served`);
  t.notMatch(body, /<script(?![^>]* src=)|<style| style=| on\w+=/, 'no inline script or style, which the policy stops');
  t.notMatch(body, /{{|}}/, 'no gap is left open');
  t.notMatch(body, new URL(app.databaseUrl).password);
});

t.test('no file is served but these', async (t) => {
  const app = await openDemo(t);
  for (const url of [
    '/index.html',
    '/demo/chat.js',
    '/package.json',
    '/..%2fpackage.json',
    '/chat.js/../../package.json',
    '/chat',
  ]) {
    const response = await app.inject(url);
    t.strictSame([response.statusCode, response.json().code], [404, 'POSTBUS_NO_ROUTE'], url);
  }
});

t.test('without the demo', async (t) => {
  const { url } = await createDatabase(t);
  const app = await createServer({ connectionString: url, schema: 'message_bus', logLevel: 'silent' });
  t.teardown(() => app.close());
  for (const path of Object.keys(files)) t.equal((await app.inject(path)).json().code, 'POSTBUS_NO_ROUTE');
  const payload = { from: 'a', text: 'b' };
  t.equal((await app.inject({ method: 'POST', url: '/chat', payload })).statusCode, 404, 'nobody can publish');
});

t.test('what is posted is published', async (t) => {
  const app = await openDemo(t);
  const response = await app.inject({ method: 'POST', url: '/chat', payload: { from: 'Ada', text: '<b>ä</b>' } });
  t.strictSame([response.statusCode, response.json()], [201, { id: 1 }]);
  const message = await app.messageBus.lastMessage('/chat');
  t.match(message?.data, { from: 'Ada', text: '<b>ä</b>', at: /^\d{4}-.*Z$/ });
});

t.test('what cannot be posted', async (t) => {
  const app = await openDemo(t);
  const refused: [unknown, string, number?][] = [
    [{ from: 'a' }, 'FST_ERR_VALIDATION'],
    [{ text: 'b' }, 'FST_ERR_VALIDATION'],
    [{ from: '', text: 'b' }, 'FST_ERR_VALIDATION'],
    [{ from: ' ', text: 'b' }, 'FST_ERR_VALIDATION'],
    [{ from: 'a', text: '\n' }, 'FST_ERR_VALIDATION'],
    [{ from: 'a'.repeat(41), text: 'b' }, 'FST_ERR_VALIDATION'],
    [{ from: 'a', text: 'b'.repeat(2001) }, 'FST_ERR_VALIDATION'],
    [{ from: 1, text: 'b' }, 'FST_ERR_VALIDATION'],
    [{ from: 'a', text: ['b'] }, 'FST_ERR_VALIDATION'],
    [{ from: 'a', text: 'b', at: 'noon' }, 'FST_ERR_VALIDATION'],
    [[], 'FST_ERR_VALIDATION'],
    [{ from: 'a', text: 'b\0' }, 'POSTBUS_BAD_DATA'],
    [{ from: 'a', text: '\ud800' }, 'POSTBUS_BAD_DATA'],
    ['{', 'FST_ERR_CTP_INVALID_JSON_BODY'],
    ['', 'FST_ERR_CTP_EMPTY_JSON_BODY'],
    [{ from: 'a', text: 'b'.repeat(20_000) }, 'FST_ERR_CTP_BODY_TOO_LARGE', 413],
  ];
  for (const [payload, code, status = 400] of refused) {
    const body = typeof payload === 'string' ? payload : JSON.stringify(payload);
    const headers = { 'content-type': 'application/json' };
    const response = await app.inject({ method: 'POST', url: '/chat', headers, payload: body });
    t.match(response.json(), { statusCode: status, code, error: String, message: String }, body.slice(0, 40));
  }
  for (const [type, payload, status] of [
    ['application/x-www-form-urlencoded', 'from=a&text=b', 415],
    ['text/plain', '{"from": "a", "text": "b"}', 400],
  ] as const) {
    const response = await app.inject({ method: 'POST', url: '/chat', headers: { 'content-type': type }, payload });
    t.equal(response.statusCode, status, `another site's form cannot post here: ${type}`);
  }
  t.equal(await app.messageBus.lastId('/chat'), 0, 'nothing was published');

  await app.messageBus.close();
  const late = await app.inject({ method: 'POST', url: '/chat', payload: { from: 'a', text: 'b' } });
  t.match(late.json(), { statusCode: 503, code: 'POSTBUS_NOT_NOW', message: /log/ }, 'details are for the log');
});

for (const embedded of [true, false]) {
  for (const schema of ['message_bus', 'Bus 7 "$HOME" `id` <b>&amp; \\ \'x\'']) {
    t.test(`the commands work as shown: ${schema}${embedded ? ', embedded' : ''}`, async (t) => {
      const app = await openDemo(t, { schema, embedded });
      const folder = makeFolder(t);
      mkdirSync(join(folder, '.postbus'));
      if (embedded) writeFileSync(join(folder, '.postbus', 'url'), `${app.databaseUrl}\n`);
      const env = embedded ? {} : { DATABASE_URL: app.databaseUrl };
      const { body } = await app.inject('/');
      const argumentsOf = (name: string) => shellArguments(folder, textOf(body, name), env);

      const [database, option, sql, ...rest] = argumentsOf('psql');
      t.strictSame([database, option, rest], [app.databaseUrl, '-c', []]);
      await app.messageBus.publish('/chat', 'first');
      await query(app.databaseUrl, sql ?? '');
      t.strictSame((await app.messageBus.lastMessage('/chat'))?.data, { from: 'psql', text: 'hello' });

      const [url, header, contentType, data, payload] = argumentsOf('curl');
      t.strictSame([url, header, data], ['http://127.0.0.1:3000/chat', '-H', '-d']);
      const [name = '', value = ''] = contentType?.split(': ') ?? [];
      await app.inject({ method: 'POST', url: '/chat', headers: { [name]: value }, payload: payload ?? '' });
      t.match((await app.messageBus.lastMessage('/chat'))?.data, { from: 'curl', text: 'hello' });

      const [postbus, ...args] = argumentsOf('postbus');
      t.equal(postbus, 'postbus');
      t.match(await run(t, args, { cwd: folder, env }), { code: 0, stdout: '4\n' });
      t.strictSame((await app.messageBus.lastMessage('/chat'))?.data, { from: 'postbus', text: 'hello' });
    });
  }
}

/** What a reader copies from the page. */
function textOf(page: string, id: string): string {
  const html = new RegExp(`<code id="${id}">(.*)</code>`).exec(page)?.[1] ?? '';
  const text = html.replace(/<[^>]*>/g, '');
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}

/** What a shell makes of a command line, whichever of its commands are installed. */
function shellArguments(folder: string, line: string, env: Record<string, string>): string[] {
  const programs = join(folder, 'programs');
  mkdirSync(programs, { recursive: true });
  for (const name of ['psql', 'curl', 'npx']) {
    writeFileSync(join(programs, name), `#!/bin/sh\nprintf '%s\\n' "$@"\n`);
    chmodSync(join(programs, name), 0o755);
  }
  const output = execFileSync('sh', ['-c', line], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...env, PATH: `${programs}:${process.env.PATH}` },
  });
  return output.trimEnd().split('\n');
}

async function query(url: string, sql: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
