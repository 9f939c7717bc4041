import { readdir, readFile } from 'node:fs/promises';
import Fastify from 'fastify';
import pg from 'pg';
import t, { type Test } from 'tap';
import { embeddedPostgresErrors } from '../../src/embedded-postgres/system/errors.js';
import postbus, { type PostbusOptions } from '../../src/fastify/index.js';
import { errors, isPostbusError } from '../../src/foundation/errors.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { readPage, rowsOf } from '../helpers/documentation.js';
import { form, json, send } from '../helpers/http.js';
import { createRole } from '../helpers/role.js';
import { listen } from '../helpers/server.js';

const rows = rowsOf(await readPage('docs/errors.md'));
const codes = rows.filter(([code]) => code?.startsWith('POSTBUS_'));

/** An error of the table, whatever its constructor wants to be told. */
function make(definition: object): { code: string; statusCode: number | undefined } {
  const error: unknown = typeof definition === 'function' && Reflect.construct(definition, []);
  if (!isPostbusError(error)) throw new Error('not an error of postbus');
  return { code: error.code, statusCode: error.statusCode };
}

async function read(folder: string, extension: string): Promise<{ name: string; text: string }[]> {
  const url = new URL(`../../${folder}/`, import.meta.url);
  const names = (await readdir(url, { recursive: true })).filter((name) => name.endsWith(extension));
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(new URL(name, url), 'utf8') })));
}

t.test('the page has every code of the tables with its status, once, and no others', async (t) => {
  const embedded = Object.values(embeddedPostgresErrors).map((definition) => make(definition).code);
  const others = Object.values(errors).map(make);
  t.strictSame(codes.map(([code]) => code).sort(), [...others.map(({ code }) => code), ...embedded].sort());
  for (const { code, statusCode } of others) {
    t.equal(codes.find(([name]) => name === code)?.[1], String(statusCode), code);
  }
});

t.test('the code knows no other codes, and a way to each', async (t) => {
  const sources = await read('src', '.ts');
  const known = new Set([
    ...Object.keys(errors).map((key) => `POSTBUS_${key}`),
    ...Object.keys(embeddedPostgresErrors),
  ]);
  for (const { name, text } of sources) {
    for (const [code] of text.matchAll(/POSTBUS_[A-Z_]*[A-Z]\b(?!_)/g)) t.ok(known.has(code), `${code} in ${name}`);
  }
  const all = sources.map(({ text }) => text).join('\n');
  for (const [key, definition] of Object.entries(errors)) {
    t.equal(make(definition).code, `POSTBUS_${key}`);
    t.match(all, new RegExp(`new errors\\.${key}\\(`), `${key} is raised`);
  }
  for (const key of Object.keys(embeddedPostgresErrors)) {
    t.match(all, new RegExp(`Failure\\(\\s*'${key}'`), `${key} is raised`);
  }
});

t.test('the page has every SQLSTATE of the functions, and no others', async (t) => {
  const raised = new Set<string>();
  for (const { text } of await read('sql', '.sql')) {
    for (const [, state = ''] of text.matchAll(/errcode = '(\w+)'/g)) raised.add(state);
  }
  const shown = rows.map(([code = '']) => code).filter((code) => code.startsWith('PB'));
  t.strictSame(shown, [...raised].sort());
});

t.test('polls are answered with every code that the page says so of, and its status', async (t) => {
  const database = await createDatabase(t);
  const seen = new Map<string, string>();

  async function ask(
    t: Test,
    {
      url = database.url,
      body = '{"/a":0}',
      path = '/x/poll?dlp=t',
      type = json,
      closed = false,
      ended = false,
      off = false,
      schema = '',
    } = {},
    options: Partial<PostbusOptions> = {},
    prepare?: Parameters<typeof listen>[2],
  ) {
    const pool = new pg.Pool({ connectionString: url });
    if (ended) await pool.end();
    const bus = openBus(t, url, { ...(schema === '' ? {} : { schema }), ...(ended ? { pool } : {}) });
    const server = await listen(t, { bus, ...options }, prepare);
    if (closed) await bus.close();
    if (off) bus.off();
    const answer = await send(`${server.url}/message-bus${path}`, { headers: type, body });
    const { code, statusCode } = JSON.parse(answer.text);
    t.equal(answer.status, statusCode, code);
    seen.set(code, String(answer.status));
  }
  const at = (change: (url: URL) => void) => {
    const url = new URL(database.url);
    change(url);
    return url.href;
  };
  const fail = (): never => {
    throw new Error('on purpose');
  };

  await ask(t, { body: '{"__a":0}' });
  await ask(t, { path: '' });
  await ask(t, { path: `/${'x'.repeat(256)}` });
  await ask(t, { body: '/a=%', type: form });
  const many = JSON.stringify(Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`/a${i}`, 0])));
  await ask(t, { body: many }, { maxChannels: 10_000, maxWaitingChannels: 0, bodyLimit: many.length });
  await ask(t, {}, { userIdLookup: fail });
  await ask(t, {}, {}, (app) => app.addHook('onRequest', async () => fail()));
  await ask(t, { closed: true });
  await ask(t, { ended: true });
  await ask(t, { off: true });
  await ask(t, { schema: 'elsewhere' });
  await ask(t, { url: at((url) => (url.port = '1')) });
  await ask(t, { url: at((url) => (url.pathname = '/nowhere')) });
  await ask(t, { url: at((url) => (url.password = 'wrong')) });
  const { role, url } = await createRole(t, database);
  await ask(t, { url });
  await database.query(`grant usage on schema message_bus to ${role}`);
  await ask(t, { url });
  const replaceRead = (statement: string) =>
    database.query(`create or replace function message_bus.read_channels(sites text[], channel_names text[], after_ids bigint[]) returns table (
      request int, last_id bigint, message_id bigint, global_id bigint, user_ids text[], group_ids text[], client_ids text[], data text, up_to bigint,
      version bigint, first_id bigint, expires bigint, now bigint
    ) language plpgsql as $$ begin ${statement}; end $$`);
  await replaceRead(`raise 'on purpose'`);
  await ask(t);
  for (const state of ['53100', '53200', '53300', '58030', '57014']) {
    await replaceRead(`raise 'on purpose' using errcode = '${state}'`);
    await ask(t);
  }
  await replaceRead('perform pg_terminate_backend(pg_backend_pid())');
  await ask(t);

  const stopping = Fastify({ return503OnClosing: false });
  await stopping.register(postbus, { bus: openBus(t, database.url) });
  // Its hook is called after that of the plugin.
  await stopping.register(async (scope) => {
    scope.addHook('preClose', async () => {
      const answer = await send(`${origin}/message-bus/x/poll`, { headers: json, body: '{"/a":0}' });
      seen.set(JSON.parse(answer.text).code, String(answer.status));
    });
  });
  const origin = await stopping.listen({ port: 0, host: '127.0.0.1' });
  await stopping.close();

  const said = codes.filter(([, , polls]) => polls === 'yes').map(([code, status]) => [code, status]);
  t.strictSame([...seen].sort(), said.sort());
});
