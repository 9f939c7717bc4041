import t, { type Test } from 'tap';
import { createDatabase } from '../helpers/database.js';
import { startDeafProxy } from '../helpers/deaf-proxy.js';
import { until } from '../helpers/until.js';
import { openCache, settle } from './fixtures/caches.js';

/** A computation that ends when it is let. */
function hold() {
  const calls: ((value: string) => void)[] = [];
  const compute = () => new Promise<string>((resolve) => calls.push(resolve));
  const end = async (call: number, value: string) => {
    await until(() => calls.length > call, 'it is asked');
    calls[call]?.(value);
  };
  return { calls, compute, end };
}

async function openTwo(t: Test) {
  const { url } = await createDatabase(t);
  return Promise.all([openCache<string>(t, url), openCache<string>(t, url)]);
}

t.test('those who ask together share one answer, which all processes have then', async (t) => {
  const [one, other] = await openTwo(t);
  const { calls, compute, end } = hold();
  const asking = [one.getOrSet('a', compute), one.getOrSet('a', compute), one.getOrSet('b', () => 'sync')];
  await end(0, 'computed');
  t.strictSame(await Promise.all(asking), ['computed', 'computed', 'sync']);
  t.equal(one.get('a'), 'computed');
  await until(() => other.size === 2, 'the other has both');
  t.equal(await other.getOrSet('a', compute), 'computed');
  t.equal(calls.length, 1);
  const keys: string[] = [];
  await one.getOrSet('c', (key) => {
    keys.push(key);
    return '';
  });
  t.strictSame(keys, ['c']);
});

t.test('one that fails tells those who wait for it; the next one computes again', async (t) => {
  const [one] = await openTwo(t);
  const fail = (): string => {
    throw new Error('on purpose');
  };
  const asking = [one.getOrSet('a', fail), one.getOrSet('a', () => 'never asked')];
  for (const asked of asking) await t.rejects(asked, { message: 'on purpose' });
  await t.rejects(
    one.getOrSet('a', async () => fail()),
    { message: 'on purpose' },
  );
  t.equal(await one.getOrSet('a', () => 'well'), 'well');
  t.equal(one.get('a'), 'well');
});

t.test('after a change of the same process', async (t) => {
  const [one, other] = await openTwo(t);
  await one.set('a', 'old');
  await one.delete('a');
  t.equal(await one.getOrSet('a', () => 'new'), 'new');
  await settle([one, other]);
  t.strictSame([one.get('a'), other.get('a')], ['new', 'new'], 'it is kept');
});

for (const change of ['set', 'delete', 'clear'] as const) {
  for (const where of ['here', 'elsewhere']) {
    t.test(
      `a ${change} ${where} meanwhile: what was computed is not kept, nor given to those who ask later`,
      async (t) => {
        const [one, other] = await openTwo(t);
        await one.set('a', 'x');
        await until(() => other.has('a'), 'it came');
        await one.delete('a');
        await until(() => !other.has('a'), 'it came');
        const { compute, end } = hold();
        const early = one.getOrSet('a', compute);
        const changing = where === 'here' ? one : other;
        if (change === 'set') await changing.set('a', 'set');
        else if (change === 'delete') await changing.delete('a');
        else await changing.clear();
        await changing.set('mark', '');
        await until(() => one.has('mark'), 'it heard');
        const late = one.getOrSet('a', compute);
        await end(0, 'stale');
        if (change === 'set') {
          t.strictSame([await early, await late, one.get('a')], ['set', 'set', 'set']);
        } else {
          t.strictSame([await early, one.has('a')], ['stale', false]);
          await end(1, 'fresh');
          t.strictSame([await late, one.get('a')], ['fresh', 'fresh']);
          await until(() => other.get('a') === 'fresh', 'the other has it');
        }
      },
    );
  }
}

t.test('a change that is on its way when the value is published: nobody keeps it', async (t) => {
  const { url } = await createDatabase(t);
  const proxy = await startDeafProxy(t, url);
  const one = await openCache<string>(t, proxy.url);
  const [other, third] = await Promise.all([openCache<string>(t, url), openCache<string>(t, url)]);
  for (const change of ['delete', 'clear'] as const) {
    const { compute, end } = hold();
    const asking = one.getOrSet('a', compute);
    const before = proxy.swallowed;
    proxy.isDeaf = true;
    await (change === 'clear' ? other.clear() : other.delete('a'));
    await until(() => proxy.swallowed > before, 'it does not hear of it');
    proxy.isDeaf = false;
    await end(0, 'stale');
    t.equal(await asking, 'stale');
    const caches = [one, other, third];
    await settle(caches);
    t.strictSame(
      caches.map((cache) => cache.has('a')),
      [false, false, false],
    );
  }
  // And one that has begun since does not know what changed.
  const { compute, end } = hold();
  const asking = one.getOrSet('a', compute);
  await other.set('b', '1');
  const late = await openCache<string>(t, url);
  await end(0, 'computed');
  await asking;
  await settle([one, other, third, late]);
  t.strictSame([other.get('a'), late.has('a')], ['computed', false]);
});

t.test('where it cannot be published, who asked has it all the same', async (t) => {
  const { url, query } = await createDatabase(t);
  const failures: unknown[] = [];
  const cache = await openCache<string>(t, url, { onError: (error) => failures.push(error) });
  await query('alter function message_bus.publish_batch rename to hidden');
  t.equal(await cache.getOrSet('a', () => 'computed'), 'computed');
  await until(() => failures.length > 0, 'it is told');
  t.match(failures, [{ code: 'POSTBUS_NO_SCHEMA' }]);
  t.notOk(cache.has('a'), 'others were not told');

  const shown: unknown[][] = [];
  const { error } = console;
  t.teardown(() => {
    console.error = error;
  });
  console.error = (...args: unknown[]) => shown.push(args);
  const silent = await openCache<string>(t, url);
  t.equal(await silent.getOrSet('a', () => 'computed'), 'computed');
  await until(() => shown.length > 0, 'it is on the console');
  t.match(shown, [[/could not publish/, { err: { code: 'POSTBUS_NO_SCHEMA' } }]]);
});
