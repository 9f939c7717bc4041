import t from 'tap';
import type { PostbusOptions } from '../../src/fastify/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { json, send } from '../helpers/http.js';
import { listenAndLog } from '../helpers/logging-server.js';

const { url: database } = await createDatabase(t);
const bus = openBus(t, database);
await bus.publish('/a', 'secret', { userIds: [1] });

const userIdLookup = () => {
  throw new Error('no session store');
};
const ask = (url: string, body = '{"/a":0}') => send(`${url}/message-bus/x/poll`, { headers: json, body });

t.test('onError answers in place of the plugin', async (t) => {
  const seen: unknown[][] = [];
  const { url, logged } = await listenAndLog(t, {
    bus,
    userIdLookup,
    bodyLimit: 1024,
    onError: async (request, error) => {
      seen.push([request.method, error.code, error.statusCode, error.cause instanceof Error && error.cause.message]);
      if (error.statusCode === 413) return { statusCode: 400, headers: { 'x-reason': 'size' }, body: 'too much' };
      if (error.code === 'POSTBUS_BAD_BODY') return { statusCode: 422, body: { sorry: 'é' } };
      return error.code === 'POSTBUS_LOOKUP_FAILED' ? { statusCode: 503, headers: { 'retry-after': '7' } } : undefined;
    },
  });
  const large = await ask(url, `{"/${'a'.repeat(2_000)}":0}`);
  t.match(large, { status: 400, headers: { 'x-reason': 'size', 'content-type': /^text\/plain/ }, text: 'too much' });
  const bad = await ask(url, '[]');
  t.match(bad, { status: 422, headers: { 'content-type': 'application/json; charset=utf-8' }, text: '{"sorry":"é"}' });
  const failed = await ask(url);
  t.match(failed, { status: 503, headers: { 'retry-after': '7' }, text: '' });
  t.match(failed.headers['cache-control'], 'max-age=0');
  const other = await ask(url, '{"__a":0}');
  t.equal(other.status, 400);
  t.match(JSON.parse(other.text), { code: 'POSTBUS_BAD_CHANNEL', statusCode: 400 }, 'undefined: as without');
  t.strictSame(seen, [
    ['POST', 'FST_ERR_CTP_BODY_TOO_LARGE', 413, false],
    ['POST', 'POSTBUS_BAD_BODY', 400, false],
    ['POST', 'POSTBUS_LOOKUP_FAILED', 500, 'no session store'],
    ['POST', 'POSTBUS_BAD_CHANNEL', 400, false],
  ]);
  t.strictSame(
    logged.map(({ msg }) => msg),
    ['userIdLookup failed', 'a poll failed'],
    'what went wrong is logged all the same',
  );
});

const cycle: Record<string, unknown> = {};
cycle.cycle = cycle;
const failing: Record<string, () => unknown> = {
  throws: () => {
    throw new Error('on purpose');
  },
  rejects: () => Promise.reject(new Error('on purpose')),
  'answers no status': () => ({ body: 'x' }),
  'answers a status that is none': () => ({ statusCode: 99 }),
  'answers text': () => 'sorry',
  'answers headers that cannot be sent': () => ({ statusCode: 200, headers: { 'x-a': 'a\r\nx-b: b' } }),
  'answers a length': () => ({ statusCode: 200, headers: { 'Content-Length': '1' }, body: 'xyz' }),
  'answers a cycle': () => ({ statusCode: 200, body: cycle }),
};

for (const [what, onError] of Object.entries(failing)) {
  t.test(`an onError that ${what} is logged, and the standard answer given`, async (t) => {
    // What only a program in JavaScript can get past the types.
    const options: PostbusOptions = Object.assign({ bus, userIdLookup }, { ['onError' as string]: onError });
    const { url, logged } = await listenAndLog(t, options);
    const { status, text, headers } = await ask(url);
    t.equal(status, 500);
    t.match(JSON.parse(text), { statusCode: 500, code: 'POSTBUS_LOOKUP_FAILED', error: 'Internal Server Error' });
    t.equal(headers['content-type'], 'application/json; charset=utf-8');
    t.match(logged.at(-1), { msg: 'onError failed' });
  });
}
