import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { DistributedCache } from '../../src/distributed-cache/index.js';
import { isPostbusError } from '../../src/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';
import { channel, openCache } from './fixtures/caches.js';

t.test('two processes see the same; a late one begins empty and keeps step from then on', async (t) => {
  const { url } = await createDatabase(t);
  const [one, other] = await Promise.all([openCache(t, url), openCache(t, url)]);
  const setting = one.set('frogs', 5);
  t.equal(one.get('frogs'), 5, 'at once');
  await setting;
  await one.set('newts', [1]);
  await until(() => other.has('newts'), 'the other has it');
  t.strictSame([...other], [...one]);
  const late = await openCache(t, url);
  t.equal(late.size, 0);

  await other.delete('frogs');
  await other.set('toads', null);
  await until(() => one.has('toads') && late.has('toads'), 'all have it');
  t.strictSame([...one.keys()], ['newts', 'toads']);
  t.strictSame([...late.entries()], [['toads', null]]);
  const clearing = one.clear();
  t.equal(one.size, 0);
  await clearing;
  await until(() => other.size === 0 && late.size === 0, 'all are empty');
});

t.test('it reads as a Map does', async (t) => {
  const { url } = await createDatabase(t);
  const cache = await openCache<number>(t, url);
  await Promise.all([cache.set('a', 1), cache.set('b', 2)]);
  const map: ReadonlyMap<string, number> = cache;
  t.strictSame([...map], [...new Map(map)]);
  t.strictSame([...map.values()], [1, 2]);
  t.strictSame([map.size, map.has('a'), map.has('c'), map.get('c')], [2, true, false, undefined]);
  const each: unknown[] = [];
  map.forEach((value, key, itself) => {
    each.push([key, value, itself === cache]);
  });
  t.strictSame(each, [
    ['a', 1, true],
    ['b', 2, true],
  ]);
});

t.test('an own change stays while an older one of another process comes in', async (t) => {
  const database = await createDatabase(t);
  const { url, pool } = database;
  const [one, other] = await Promise.all([openCache(t, url), openCache(t, url)]);
  const shown: unknown[] = [];
  await one.bus.subscribe(channel, () => shown.push(['a', 'b', 'c', 'd'].map((key) => one.get(key))));
  await Promise.all(['a', 'b', 'c', 'd'].map((key) => other.set(key, 'first')));
  await until(() => shown.length === 4, 'it has them');
  shown.length = 0;

  // What this transaction publishes comes before all that is published while it is open.
  const client = await pool.connect();
  await client.query('begin');
  const publish = (change: object) => client.query('select message_bus.publish($1, $2)', [channel, change]);
  await publish({ op: 'set', key: 'a', value: '"theirs"' });
  await publish({ op: 'clear' });
  await publish({ op: 'set', key: 'b', value: '"theirs"' });
  await publish({ op: 'set', key: 'c', value: '"theirs"' });
  const changing = [one.set('a', 'mine'), one.delete('b'), one.set('a', 'mine too')];
  t.strictSame([one.get('a'), one.has('b'), one.get('c')], ['mine too', false, 'first']);
  await client.query('commit');
  client.release();
  await Promise.all(changing);
  await until(() => shown.length === 7, 'all have come');
  t.strictSame(shown, [
    ['mine too', undefined, 'first', 'first'],
    ['mine too', undefined, undefined, undefined],
    ['mine too', undefined, undefined, undefined],
    ...Array.from({ length: 4 }, () => ['mine too', undefined, 'theirs', undefined]),
  ]);
  await until(() => other.get('a') === 'mine too', 'the other has the last one');
  t.strictSame(new Map(other), new Map(one));
});

t.test('what comes before an own clear does not come back by it', async (t) => {
  const { url, pool } = await createDatabase(t);
  const [one, other] = await Promise.all([openCache(t, url), openCache(t, url)]);
  const sizes: number[] = [];
  await one.bus.subscribe(channel, () => sizes.push(one.size));
  const client = await pool.connect();
  await client.query('begin');
  await client.query('select message_bus.publish($1, $2)', [channel, { op: 'set', key: 'a', value: '1' }]);
  const changing = [one.set('b', 1), one.clear(), one.set('c', 1)];
  t.strictSame([...one], [['c', 1]]);
  await client.query('commit');
  client.release();
  await Promise.all(changing);
  await until(() => sizes.length === 4 && other.has('c'), 'all have come');
  t.strictSame(sizes, [1, 1, 1, 1]);
  t.strictSame([...other], [...one]);
});

t.test('sites, names and versions are apart', async (t) => {
  const { url } = await createDatabase(t);
  const bus = openBus(t, url);
  const open = (name: string, options = {}) => DistributedCache.open(bus, name, options);
  const ofNone = await open('a');
  const ofOne = await open('a', { siteId: 'one' });
  const ofOther = await open('a', { siteId: 'other' });
  const ofOtherName = await open('b');
  await ofNone.set('k', 0);
  await ofOne.set('k', 1);
  await ofOther.set('k', 2);
  const again = await open('a', { siteId: 'one' });
  await ofOne.set('last', 1);
  await until(() => again.has('last'), 'it came');
  t.strictSame(
    [ofNone, ofOne, ofOther, ofOtherName].map((cache) => cache.get('k')),
    [0, 1, 2, undefined],
  );

  const old = await open('v', { appVersion: '1' });
  const old2 = await open('v', { appVersion: '1' });
  const next = await open('v', { appVersion: '2' });
  await old.set('k', 'old');
  await next.set('other', 'new');
  await until(() => old2.has('k') && next.has('other'), 'each has its own');
  t.equal(next.has('k'), false);
  await next.set('k', 'new');
  await until(() => !old.has('k') && !old2.has('k'), 'what it was is no longer true for the old ones, either');
  t.equal(next.get('k'), 'new');
  await old.clear();
  await until(() => next.size === 0, 'a clear is for all');
  await next.getOrSet('computed', () => 'new');
  await old.getOrSet('computed', () => 'old');
  await old.set('last', 1);
  await until(() => old2.has('last'), 'it came');
  await old2.set('very last', 1);
  await until(() => old.has('very last'), 'it came');
  t.strictSame(
    [old, old2, next].map((cache) => cache.get('computed')),
    ['old', 'old', 'new'],
  );
});

t.test('changes from SQL, and messages that make no sense', async (t) => {
  const { url, query } = await createDatabase(t);
  const cache = await openCache(t, url);
  const publish = (data: unknown) => query('select message_bus.publish($1, $2)', [channel, JSON.stringify(data)]);
  await publish({ op: 'set', key: 'a', value: '{"$set":[1]}' });
  await publish({ op: 'set', key: 'b', value: '2' });
  await publish({ op: 'delete', key: 'b' });
  await publish({ op: 'set', key: 'c', value: '3' });
  await until(() => cache.has('c'), 'it came');
  t.strictSame(
    [...cache],
    [
      ['a', new Set([1])],
      ['c', 3],
    ],
  );
  await publish({ op: 'set', key: 'a', value: '{"$set":5}' });
  await until(() => !cache.has('a'), 'what cannot be read is gone');
  t.match(cache.bus.log, [{ level: 'error', message: 'a subscriber failed' }]);
  for (const nonsense of [
    { op: 'set', key: 'c' },
    { op: 'delete' },
    { op: 'increase', key: 'c' },
    null,
    'clear',
    [1],
  ]) {
    await cache.set('c', 3);
    await publish(nonsense);
    await until(() => cache.size === 0, `${JSON.stringify(nonsense)} clears`);
  }
});

t.test('no client is shown what a cache publishes', async (t) => {
  const { url } = await createDatabase(t);
  const cache = await openCache(t, url);
  const server = await listen(t, { bus: cache.bus, userIdLookup: () => 1 });
  await cache.set('secret', 1);
  const { messages } = await poll(server.url, { [channel]: 0 }, { dlp: true });
  t.strictSame(
    messages.map(({ channel, data }) => [channel, data]),
    [['/__status', { [channel]: 1 }]],
  );
});

t.test('what cannot be published reaches the caller, and is forgotten here', async (t) => {
  const { url, query } = await createDatabase(t);
  const cache = await openCache(t, url);
  await cache.set('a', 'before');
  await cache.set('b', 'before');
  await query('alter function message_bus.publish_batch rename to hidden');
  const failing = cache.set('a', 'after');
  t.equal(cache.get('a'), 'after');
  await t.rejects(failing, { code: 'POSTBUS_NO_SCHEMA' });
  t.strictSame([...cache], [['b', 'before']], 'neither of them');
  const setAgain = cache.set('a', 'one');
  const andAgain = cache.set('a', 'two');
  await t.rejects(setAgain);
  await t.rejects(andAgain);
  await t.rejects(cache.delete('a'), { code: 'POSTBUS_NO_SCHEMA' });
  await t.rejects(cache.clear(), { code: 'POSTBUS_NO_SCHEMA' });
  t.equal(cache.size, 0);
  await query('alter function message_bus.hidden rename to publish_batch');
  await cache.set('a', 'again');
  t.equal(cache.get('a'), 'again');
});

t.test('what is no argument', async (t) => {
  const { url } = await createDatabase(t);
  const bus = openBus(t, url);
  // What only programs in JavaScript can get past the types.
  const call = (name: 'set' | 'delete' | 'getOrSet', ...args: unknown[]) => Reflect.apply(cache[name], cache, args);
  const cache = await DistributedCache.open(bus, 'animals');
  await t.rejects(call('set', 1, 'value'), { code: 'POSTBUS_BAD_OPTION', message: /^key: / });
  await t.rejects(call('delete'), { code: 'POSTBUS_BAD_OPTION', message: /^key: / });
  await t.rejects(
    call('getOrSet', null, () => 1),
    { code: 'POSTBUS_BAD_OPTION', message: /^key: / },
  );
  await t.rejects(call('set', 'a', undefined), { code: 'POSTBUS_BAD_DATA' });
  await t.rejects(cache.set('\0', 1), { code: 'POSTBUS_BAD_DATA' });
  t.equal(cache.size, 0);
  for (const args of [[''], [7], ['a', { appVersion: 7 }], ['a', { onError: 1 }]]) {
    await t.rejects(Reflect.apply(DistributedCache.open, DistributedCache, [bus, ...args]), {
      code: 'POSTBUS_BAD_OPTION',
    });
  }
  await t.rejects(DistributedCache.open(bus, 'x'.repeat(250)), { code: 'POSTBUS_BAD_CHANNEL', message: /^name: / });
  await t.rejects(DistributedCache.open(bus, 'a', { siteId: '' }), { code: 'POSTBUS_BAD_SITE' });
});

t.test('a cache that was closed is empty and stays so; others go on', async (t) => {
  const { url } = await createDatabase(t);
  const bus = openBus(t, url);
  const [one, other] = [await DistributedCache.open(bus, 'animals'), await DistributedCache.open(bus, 'animals')];
  const before = bus.events.listenerCount('connected');
  await one.set('a', 1);
  await one.close();
  await one.close();
  t.equal(one.size, 0);
  t.equal(bus.events.listenerCount('connected'), before - 1);
  for (const change of [one.set('a', 2), one.delete('a'), one.clear()]) {
    await t.rejects(change, { code: 'POSTBUS_CACHE_CLOSED' });
  }
  t.equal(await one.getOrSet('a', () => 3), 3, 'computes');
  await until(() => other.has('a'), 'it came');
  await other.set('b', 1);
  t.equal(one.size, 0);
  t.strictSame([...other.keys()], ['a', 'b']);

  const computing = other.getOrSet('c', async () => {
    await bus.close();
    return 1;
  });
  t.equal(await computing, 1);
  t.equal(other.size, 0, 'when its bus is closed, it hears nothing');
  await t.rejects(other.set('a', 1), { code: 'POSTBUS_CLOSED' });
  t.equal(other.size, 0);
  await other.close();
  await t.rejects(DistributedCache.open(bus, 'animals'), { code: 'POSTBUS_CLOSED' });
  t.equal(bus.events.listenerCount('connected'), 0, 'what could not be opened is let go');
});

t.test('many caches on a bus, closed at any moment', async (t) => {
  const { url } = await createDatabase(t);
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on('warning', note);
  t.teardown(() => process.off('warning', note));
  const bus = openBus(t, url);
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      try {
        const cache = await DistributedCache.open<number>(bus, `c${i}`);
        if (i === 60) void bus.close();
        await cache.set('a', i);
        await delay(Math.random() * 5);
        await cache.close();
        return 'closed';
      } catch (error) {
        return isPostbusError(error) ? error.code : error;
      }
    }),
  );
  t.strictSame(
    outcomes.filter((outcome) => outcome !== 'closed' && outcome !== 'POSTBUS_CLOSED'),
    [],
  );
  t.strictSame(warnings, []);
});
