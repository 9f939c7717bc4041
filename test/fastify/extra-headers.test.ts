import t, { type Test } from 'tap';
import type { PostbusOptions } from '../../src/fastify/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { json, send } from '../helpers/http.js';
import { listenAndLog } from '../helpers/logging-server.js';
import { poll } from '../helpers/server.js';

const { url: database } = await createDatabase(t);
const bus = openBus(t, database);
await bus.publish('/a', 'a message');

const secret = 'words of an inner error';
const poll0 = (url: string) => `${url}/message-bus/x/poll`;

for (const isAsync of [false, true]) {
  t.test(`extra headers are on every answer, lookup ${isAsync ? 'async' : 'sync'}`, async (t) => {
    const { url } = await listenAndLog(t, {
      bus,
      bodyLimit: 1024,
      extraResponseHeadersLookup: ({ headers }) => {
        const extra = { 'x-for': headers['x-who']?.toString() ?? 'nobody', 'cache-control': 'no-store' };
        return isAsync ? Promise.resolve(extra) : extra;
      },
    });
    const headers = { ...json, 'x-who': 'me' };
    const answers = {
      poll: await send(`${poll0(url)}?dlp=t`, { headers, body: '{"/a":0}' }),
      preflight: await send(poll0(url), { method: 'OPTIONS', headers }),
      'bad body': await send(poll0(url), { headers, body: '[' }),
      'large body': await send(poll0(url), { headers, body: `{"/${'a'.repeat(2_000)}":0}` }),
      'no client id': await send(`${url}/message-bus`, { headers, body: '{}' }),
    };
    t.strictSame(
      Object.values(answers).map(({ status }) => status),
      [200, 200, 400, 413, 404],
    );
    for (const [what, answer] of Object.entries(answers)) {
      t.match(answer.headers, { 'x-for': 'me', 'cache-control': 'no-store', pragma: 'no-cache' }, what);
    }
    const hangUp = new AbortController();
    const streamed = await fetch(poll0(url), { method: 'POST', headers, body: '{"/a":0}', signal: hangUp.signal });
    t.strictSame(
      ['x-for', 'content-type', 'x-content-type-options'].map((name) => streamed.headers.get(name)),
      ['me', 'text/plain; charset=utf-8', 'nosniff'],
    );
    hangUp.abort();
  });
}

async function withLookup(t: Test, lookup: () => unknown) {
  // What only a program in JavaScript can get past the types.
  const options: PostbusOptions = Object.assign({ bus }, { ['extraResponseHeadersLookup' as string]: lookup });
  return listenAndLog(t, options);
}

const failing: Record<string, () => unknown> = {
  throws: () => {
    throw new Error(secret);
  },
  rejects: () => Promise.reject(new Error(secret)),
  'answers text': () => secret,
  'answers a list': () => [secret],
  'answers a number': () => ({ 'x-a': 1 }),
  'answers a line break': () => ({ 'x-a': 'a\r\nset-cookie: b' }),
  'answers a name that is none': () => ({ 'x a': 'a' }),
  'answers a length': () => ({ 'content-length': '5' }),
  'answers an encoding': () => ({ 'Transfer-Encoding': 'identity' }),
};

for (const [what, lookup] of Object.entries(failing)) {
  t.test(`a lookup of headers that ${what} fails the poll`, async (t) => {
    const { url, logged } = await withLookup(t, lookup);
    for (const dlp of [true, false]) {
      const { status, text } = await poll(url, { '/a': 0 }, { dlp });
      t.equal(status, 500);
      t.match(JSON.parse(text), { code: 'POSTBUS_LOOKUP_FAILED', error: 'Internal Server Error' });
      t.notMatch(text, new RegExp(`${secret}|a message`));
    }
    t.equal((await send(poll0(url), { method: 'OPTIONS' })).status, 500);
    const streamed = await send(poll0(url), { headers: json, body: '{"/a":0}' });
    t.equal(streamed.status, 500, 'nor is there a stream');
    t.notMatch(streamed.text, /a message/);
    t.match(logged[0], { msg: 'extraResponseHeadersLookup failed' });
  });
}

for (const nothing of [null, undefined, {}]) {
  t.test(`a lookup of headers that answers ${JSON.stringify(nothing)}`, async (t) => {
    const { url } = await withLookup(t, () => nothing);
    t.equal((await poll(url, { '/a': 0 }, { dlp: true })).messages.length, 1);
  });
}
