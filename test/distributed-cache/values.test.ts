import fc from 'fast-check';
import t from 'tap';
import type { CacheValue } from '../../src/distributed-cache/index.js';
import { createDatabase } from '../helpers/database.js';
import { until } from '../helpers/until.js';
import { openCache } from './fixtures/caches.js';

const words = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('$', '$date', '$set', '$map', '$$set', '__proto__'),
);

// -0 comes out as 0, as in all JSON.
const numbers = fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0);

const { value: values } = fc.letrec<{ value: CacheValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false),
    numbers,
    words,
    fc.date({ noInvalidDate: true }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(tie('value'), { maxLength: 4 }).map((list) => new Set(list)),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 4 }).map((pairs) => new Map(pairs)),
    fc.array(fc.tuple(words, tie('value')), { maxLength: 4 }).map((pairs) => Object.fromEntries(pairs)),
  ),
}));

t.test('what one process sets, it and the others get', async (t) => {
  const { url } = await createDatabase(t);
  const [one, other] = await Promise.all([openCache(t, url), openCache(t, url)]);
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.string(), values, { minKeys: 1 }), async (expected) => {
      const keys = Object.keys(expected).filter((key) => !key.includes('\0'));
      await one.clear();
      await Promise.all(keys.map((key) => one.set(key, expected[key] ?? null)));
      const last = `run ${++runs}`;
      await one.set('last', last);
      await until(() => other.get('last') === last && other.size === one.size, 'the other has all of this run');
      for (const key of keys) {
        if (key === 'last') continue;
        for (const cache of [one, other]) {
          if (!t.strictSame(cache.get(key), expected[key])) return false;
        }
      }
      return true;
    }),
    { numRuns: 50 },
  );
});

t.test('names that an object inherits from are keys as any', async (t) => {
  const { url } = await createDatabase(t);
  const [one, other] = await Promise.all([openCache(t, url), openCache(t, url)]);
  t.equal(one.get('constructor'), undefined);
  await one.set('__proto__', { ['__proto__']: { isAdmin: true } });
  await until(() => other.has('__proto__'), 'it came');
  for (const cache of [one, other]) {
    const value = Object(cache.get('__proto__'));
    t.strictSame(Object.keys(value), ['__proto__']);
    t.equal(value.isAdmin, undefined);
  }
});

t.test('what happens to a value later does not happen to the cache', async (t) => {
  const { url } = await createDatabase(t);
  const cache = await openCache(t, url);
  const list = [1];
  const setting = cache.set('a', list);
  list.push(2);
  t.strictSame(cache.get('a'), [1]);
  await setting;
  const computed = new Set([1]);
  const answered = await cache.getOrSet('b', () => computed);
  computed.add(2);
  t.strictSame([cache.get('b'), answered], [new Set([1]), new Set([1])]);
});

t.test('what others would get changed is refused', async (t) => {
  const { url } = await createDatabase(t);
  const cache = await openCache(t, url);
  const cycle: unknown[] = [];
  cycle.push(new Map([[1, cycle]]));
  const list: unknown[] = [];
  list.push(list);
  const refused: [unknown, RegExp][] = [
    [undefined, /undefined/],
    [[undefined], /undefined in a list/],
    [new Map([[1, undefined]]), /undefined in a list/],
    [Number.NaN, /NaN/],
    [{ a: [Number.POSITIVE_INFINITY] }, /Infinity/],
    [new Date(Number.NaN), /NaN/],
    [1n, /a bigint/],
    [() => {}, /a function/],
    [{ a: () => {} }, /a function/],
    [Symbol('x'), /a symbol/],
    [Buffer.from('x'), /an object of a class \(Buffer\)/],
    [new (class User {})(), /an object of a class \(User\)/],
    [cycle, /a cache cannot hold/],
    [list, /a cache cannot hold/],
  ];
  for (const [value, message] of refused) {
    await t.rejects(Reflect.apply(cache.set, cache, ['a', value]), { code: 'POSTBUS_BAD_DATA', message });
    await t.rejects(Reflect.apply(cache.getOrSet, cache, ['a', () => value]), { code: 'POSTBUS_BAD_DATA', message });
  }
  t.equal(cache.size, 0);
  await cache.set('a', { present: 1, absent: undefined });
  t.strictSame(cache.get('a'), { present: 1 }, 'a property that is undefined is none');
});
