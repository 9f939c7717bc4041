import t from 'tap';
import { DistributedCache } from '../../src/distributed-cache/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../helpers/database.js';
import { startDeafProxy } from '../helpers/deaf-proxy.js';
import { until } from '../helpers/until.js';
import { channel, openCache } from './fixtures/caches.js';

/** Ends what listens; until the function that it gives is called, nothing can listen again. */
async function deafen({ query }: TestDatabase): Promise<() => Promise<unknown>> {
  await query('alter function message_bus.node_state rename to hidden');
  await query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'postbus listener' and datname = current_database()`,
  );
  return () => query('alter function message_bus.hidden rename to node_state');
}

const setBySql = ({ query }: TestDatabase, key: string, value: unknown) =>
  query('select message_bus.publish($1, $2)', [channel, { op: 'set', key, value: JSON.stringify(value) }]);

t.test('a cache that does not hear is empty; when it hears again, it goes on', async (t) => {
  const database = await createDatabase(t);
  const cache = await openCache(t, database.url);
  await cache.set('a', 'before');
  await cache.set('b', 'before');
  const restore = await deafen(database);
  await until(() => cache.size === 0, 'it is empty');
  t.notOk(cache.bus.isConnected);

  const setting = cache.set('own', 1);
  t.equal(cache.get('own'), 1, 'an own change shows while it is on its way');
  await setting;
  t.notOk(cache.has('own'), 'then others may have changed it');
  t.equal(await cache.getOrSet('computed', () => 2), 2);
  t.notOk(cache.has('computed'));
  await setBySql(database, 'a', 'meanwhile');
  const later = cache.set('own', 3);
  await later;

  await restore();
  await until(() => cache.has('a') && cache.get('own') === 3, 'it has caught up');
  t.strictSame(
    new Map(cache),
    new Map<string, unknown>([
      ['a', 'meanwhile'],
      ['own', 3],
    ]),
  );
  await cache.set('b', 'after');
  t.equal(cache.get('b'), 'after');
});

t.test('the listener is gone, and the backlog with it', async (t) => {
  const database = await createDatabase(t);
  const [one, other] = await Promise.all([openCache(t, database.url), openCache(t, database.url)]);
  await one.set('a', 'before');
  await until(() => other.has('a'), 'both have it');
  const restore = await deafen(database);
  await until(() => !one.bus.isConnected && !other.bus.isConnected, 'they notice');
  await other.set('a', 'lost');
  await other.set('b', 'lost');
  await database.query('select message_bus.expire_all_backlogs()');
  await setBySql(database, 'c', 'kept');
  await restore();
  await until(() => one.has('c') && other.has('c'), 'they have caught up');
  for (const cache of [one, other]) t.strictSame([...cache], [['c', 'kept']]);
  await one.set('a', 'after');
  await until(() => other.has('a'), 'they are in step');
  t.strictSame(new Map(other), new Map(one));
});

t.test('messages that are missed for good without an outage', async (t) => {
  const database = await createDatabase(t);
  const proxy = await startDeafProxy(t, database.url);
  const cache = await openCache(t, proxy.url);
  await cache.set('a', 'before');
  await cache.set('b', 'before');
  proxy.isDeaf = true;
  // One's own that do not come back, too.
  await cache.set('own', 1);
  await setBySql(database, 'a', 'lost');
  await setBySql(database, 'own', 'lost');
  await until(() => proxy.swallowed >= 3, 'it hears of none');
  t.strictSame([cache.get('a'), cache.get('own')], ['before', 1], 'it cannot know');
  await database.query('select message_bus.expire_all_backlogs()');
  proxy.isDeaf = false;
  await setBySql(database, 'c', 'kept');
  await until(() => cache.has('c'), 'it hears again');
  t.strictSame([...cache], [['c', 'kept']]);
  await setBySql(database, 'own', 'new');
  await until(() => cache.get('own') === 'new', 'what it waited for is not waited for any more');
});

t.test('what is read while notifications do not arrive is not kept: more may come unheard', async (t) => {
  const database = await createDatabase(t);
  const proxy = await startDeafProxy(t, database.url);
  const cache = await openCache(t, proxy.url, {}, { keepaliveInterval: 50 });
  const heard: unknown[] = [];
  await cache.bus.subscribe(channel, ({ data }) => heard.push(Object(data).value));
  proxy.isDeaf = true;
  await until(() => !cache.bus.isConnected, 'it notices');
  await setBySql(database, 'a', 1);
  await until(() => heard.length === 1, 'with a new connection it catches up');
  // In one turn with isConnected: a loaded machine may be deaf for no reason, and well again.
  if (!cache.bus.isConnected) t.equal(cache.size, 0);
  proxy.isDeaf = false;
  await until(async () => {
    await setBySql(database, 'a', 2);
    return cache.get('a') === 2;
  }, 'it hears again');
});

t.test('a value that is computed across an outage is for who asked', async (t) => {
  const database = await createDatabase(t);
  const cache = await openCache(t, database.url);
  let end = (_value: string) => {};
  const asking = cache.getOrSet(
    'a',
    () =>
      new Promise<string>((resolve) => {
        end = resolve;
      }),
  );
  const restore = await deafen(database);
  await until(() => !cache.bus.isConnected, 'it notices');
  await restore();
  await until(() => cache.bus.isConnected, 'it is back');
  end('computed');
  t.equal(await asking, 'computed');
  await cache.set('mark', 1);
  t.strictSame([...cache.keys()], ['mark']);
  t.strictSame(
    (await cache.bus.backlog(channel)).map(({ data }) => Object(data).key),
    ['mark'],
  );
});

t.test('a bus that is off', async (t) => {
  const database = await createDatabase(t);
  const other = await openCache(t, database.url);
  await other.set('a', 'before');
  const bus = openBus(t, database.url);
  bus.off();
  const cache = await DistributedCache.open(bus, 'animals');
  const setting = cache.set('a', 'alone');
  t.equal(cache.get('a'), 'alone');
  await setting;
  t.equal(cache.size, 0, 'nobody was told, and nothing is heard');
  t.equal(await cache.getOrSet('a', () => 'computed'), 'computed');
  t.equal(cache.size, 0);

  bus.on();
  await until(async () => {
    await cache.set('mark', 1);
    return cache.has('mark') && other.has('mark');
  }, 'it has begun');
  await other.set('a', 'other');
  await until(() => cache.get('a') === 'other', 'it hears');

  bus.off({ disablePublish: false });
  t.equal(cache.size, 0);
  await cache.set('b', 'deaf');
  await until(() => other.has('b'), 'it publishes');
  await other.set('a', 'meanwhile');
  t.equal(cache.size, 0);
  bus.on();
  await until(() => cache.has('a'), 'it catches up');
  t.strictSame(
    new Map(cache),
    new Map([
      ['b', 'deaf'],
      ['a', 'meanwhile'],
    ]),
  );
});

t.test('where nothing can listen, a cache opens all the same, and is empty', async (t) => {
  const database = await createDatabase(t);
  await database.query('alter function message_bus.node_state rename to hidden');
  const cache = await openCache(t, database.url);
  await cache.set('a', 1);
  t.equal(cache.size, 0);
  await database.query('alter function message_bus.hidden rename to node_state');
  await until(() => cache.has('a'), 'it begins when that changes');
  const gone = new URL(database.url);
  gone.port = '1';
  const bus = openBus(t, gone.href);
  await t.rejects(DistributedCache.open(bus, 'animals'), { code: 'POSTBUS_NO_SERVER' });
  t.equal(bus.events.listenerCount('connected'), 0);
  bus.off();
  t.equal((await DistributedCache.open(bus, 'animals')).size, 0, 'a bus that is off leaves the database alone');
});

t.test('a change that cannot be decoded may be any: it clears', async (t) => {
  const { url, query } = await createDatabase(t);
  const codec = {
    encode: (data: unknown) => ({ sealed: data }),
    decode: (json: unknown) => {
      if (!('sealed' in Object(json))) throw new Error('not by this codec');
      return Object(json).sealed;
    },
  };
  const bus = openBus(t, url, { codec });
  const cache = await DistributedCache.open(bus, 'test');
  await cache.set('a', 'before');
  await query('select message_bus.publish($1, $2)', ['/distributed-cache/test', { op: 'delete', key: 'a' }]);
  await until(() => !cache.has('a'), 'it is empty');
  await cache.set('a', 'after');
  await until(() => cache.get('a') === 'after', 'and goes on');
});
