import t from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import type { PostbusOptions } from '../../src/fastify/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll } from '../helpers/server.js';

const { url: database } = await createDatabase(t);
const bus = openBus(t, database);
await bus.publish('/a', 'for everybody');
await bus.publish('/a', 'for one', { userIds: [1] });

const secret = 'the words of an inner error';
const boom = () => {
  throw new Error(secret);
};
/** What a lookup answers that is out of order. */
const nonsense: [string, unknown][] = [
  ['true', true],
  ['false', false],
  ['an object', {}],
  ['NaN', Number.NaN],
  ['infinity', Number.POSITIVE_INFINITY],
  ['a fraction', 1.5],
  ['negative zero', -0],
  ['a number that stands for several', 2 ** 53],
  ['a symbol', Symbol('1')],
  ['a function', () => 1],
  ['half a surrogate pair', '\ud800'],
  ['a NUL', 'a\0'],
];
const bad: Record<string, [string, unknown][]> = {
  userIdLookup: [...nonsense, ['a list', ['1']]],
  groupIdsLookup: [
    ...nonsense,
    ['a string', 'staff'],
    ['a number', 1],
    ['a set', new Set(['staff'])],
    ['a list with a hole', ['staff', null]],
    ['a list of lists', [['staff']]],
  ],
  siteIdLookup: [...nonsense, ['a number', 1], ['a list', ['a']], ['an empty site', ''], ['a tab', 'a\tb']],
};

for (const name of ['userIdLookup', 'groupIdsLookup', 'siteIdLookup'] as const) {
  t.test(`${name} that fails or answers nonsense is an error, never nobody or everybody`, async (t) => {
    let lookup: () => unknown = boom;
    // What only a program in JavaScript can get past the types.
    const options: PostbusOptions = Object.assign({ bus }, { [name]: () => lookup() });
    const { url } = await listen(t, options);
    const refused = async (what: string, answer: () => unknown) => {
      lookup = answer;
      for (const dlp of [false, true]) {
        const { status, text } = await poll(url, { '/a': 0 }, { dlp });
        t.equal(status, 500, `${what} (${text})`);
        t.strictSame(Object.keys(JSON.parse(text)), ['statusCode', 'code', 'error', 'message']);
        t.match(JSON.parse(text), { code: 'POSTBUS_LOOKUP_FAILED', error: 'Internal Server Error' });
        t.notMatch(text, new RegExp(`${secret}|everybody`));
      }
      t.equal(internalsOf(bus).dispatcher.counts.cursors, 0);
    };
    await refused('throws', boom);
    await refused('rejects', async () => boom());
    await refused('rejects later', () => new Promise((_, reject) => setTimeout(reject, 5, new Error(secret))));
    await refused('rejects with nothing', () => Promise.reject(undefined));
    await refused('throws nothing', () => {
      throw undefined;
    });
    for (const [what, answer] of bad[name] ?? []) {
      await refused(what, () => answer);
      await refused(`${what}, later`, async () => answer);
    }

    for (const answer of [null, undefined]) {
      lookup = () => answer;
      t.equal((await poll(url, { '/a': 0 }, { dlp: true })).messages[0]?.data, 'for everybody', String(answer));
      lookup = async () => answer;
      t.equal((await poll(url, { '/a': 0 }, { dlp: true })).messages[0]?.data, 'for everybody');
    }
  });
}

t.test('lookups may answer what is no Promise but can be awaited, as query builders do', async (t) => {
  type Then = (resolve: (rows: unknown) => void, reject: (error: unknown) => void) => void;
  const thenable = (then: Then) => Object.fromEntries([['then', then]]);
  const later = (rows: unknown) => thenable((resolve) => setImmediate(resolve, rows));
  let user = later(1);
  // The types of some query builders get past ours.
  const lookups: object = {
    userIdLookup: () => user,
    groupIdsLookup: () => later(['x']),
    siteIdLookup: () => later(null),
  };
  const { url } = await listen(t, Object.assign({ bus }, lookups));
  t.equal((await poll(url, { '/a': 0 }, { dlp: true })).messages.length, 2);
  for (user of [later({}), thenable(boom), thenable((_, reject) => reject(new Error(secret)))]) {
    const { status, text } = await poll(url, { '/a': 0 }, { dlp: true });
    t.equal(status, 500);
    t.match(JSON.parse(text), { code: 'POSTBUS_LOOKUP_FAILED' });
  }
});

t.test('a lookup sees the request with what hooks have made of it', async (t) => {
  const { url } = await listen(
    t,
    {
      bus,
      userIdLookup: (request) => {
        const { user } = Object.assign({ user: null }, request);
        return user;
      },
    },
    (app) => {
      app.decorateRequest('user', null);
      app.addHook('onRequest', async (request) => void Object.assign(request, { user: request.headers['x-user'] }));
    },
  );
  const { messages } = await poll(url, { '/a': 0 }, { dlp: true, headers: { 'x-user': '1' } });
  t.equal(messages.length, 2);
});
