import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import type { PostbusOptions } from '../../src/fastify/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll, stream } from '../helpers/server.js';
import { until } from '../helpers/until.js';

async function open(t: Test, options: Partial<PostbusOptions> = {}) {
  const { url: database } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, { bus, ...options });
  const waiting = (count: number) =>
    until(() => internalsOf(bus).dispatcher.counts.cursors === count, `${count} polls wait`);
  return { bus, url, waiting };
}

t.test('a newer poll of the same client ends the older one, long poll or stream', async (t) => {
  const { bus, url, waiting } = await open(t);
  for (const isStreamed of [false, true]) {
    const frames: unknown[] = [];
    const older = isStreamed
      ? (async () => {
          for await (const frame of stream(url, { '/a': 0, __seq: 1 })) frames.push(...frame);
        })()
      : poll(url, { '/a': 0, __seq: 1 }).then(({ status, messages }) => frames.push(...messages, status));
    await waiting(1);
    const newer = poll(url, { '/a': 0, '/b': 0, __seq: 2 });
    await older;
    t.strictSame(frames, isStreamed ? [] : [200], 'ended with nothing');
    await waiting(2);
    await bus.publish('/b', 1);
    t.equal((await newer).messages.length, 1);
    await bus.expireAllBacklogs();
  }
});

t.test('an older poll that arrives late is answered at once, and the newer one goes on', async (t) => {
  const { bus, url, waiting } = await open(t);
  const newer = poll(url, { '/a': 0, __seq: 7 });
  await waiting(1);
  t.equal((await poll(url, { '/a': 0, __seq: 6 })).text, '[]');
  t.equal((await poll(url, { '/a': -1, __seq: 6 })).text, '[]', 'whatever it asks for');
  await bus.publish('/a', 1);
  t.equal((await newer).messages.length, 1);
});

t.test('polls without a number, or with the same, end the one before', async (t) => {
  const { url, waiting } = await open(t);
  for (const channels of [{ '/a': 0 }, { '/a': 0, __seq: '' }, { '/a': 0, __seq: 3 }]) {
    const older = poll(url, channels);
    await waiting(1);
    const hangUp = new AbortController();
    const newer = poll(url, channels, { signal: hangUp.signal }).catch(() => {});
    t.equal((await older).text, '[]');
    await waiting(1);
    hangUp.abort();
    await newer;
    await waiting(0);
  }
});

t.test('a client is one by its id, user and site: no other can end its polls', async (t) => {
  const header = (name: string) => (request: { headers: Record<string, unknown> }) =>
    typeof request.headers[name] === 'string' ? request.headers[name] : null;
  const { bus, url, waiting } = await open(t, { userIdLookup: header('x-user'), siteIdLookup: header('x-site') });
  const first = poll(url, { '/global/a': 0, __seq: 1 }, { headers: { 'x-user': '1', 'x-site': 's' } });
  await waiting(1);
  const others = [
    poll(url, { '/global/a': 0, __seq: 9 }, { headers: { 'x-user': '2', 'x-site': 's' } }),
    poll(url, { '/global/a': 0, __seq: 9 }, { headers: { 'x-user': '1', 'x-site': 't' } }),
    poll(url, { '/global/a': 0, __seq: 9 }, { headers: { 'x-user': '1', 'x-site': 's' }, client: 'other' }),
    // What would name the same client if its parts were only strung together.
    poll(url, { '/global/a': 0, __seq: 9 }, { headers: { 'x-site': 's' }, client: '1%09client' }),
    poll(url, { '/global/a': 0, __seq: 9 }, { headers: { 'x-site': 's' }, client: '1%00client' }),
    poll(url, { '/global/a': 0, __seq: 9 }, { headers: { 'x-site': 's' } }),
    poll(url, { '/global/a': 0, __seq: 9 }, { headers: { 'x-site': 's', 'x-user': '' } }),
  ];
  await waiting(8);
  await bus.publish('/global/a', 1);
  for (const answer of [first, ...others]) t.equal((await answer).messages.length, 1);
});

t.test('hammered with polls in any order, one is left, the newest, and each gets an answer', async (t) => {
  const { bus, url, waiting } = await open(t);
  await bus.publish('/a', 1);
  for (let round = 0; round < 15; round++) {
    const last = await bus.lastId('/a');
    const polls = Array.from({ length: 12 }, async (_, i) => {
      await delay(Math.random() * 10);
      return { seq: i, ...(await poll(url, { '/a': last, __seq: 100 * round + i })) };
    });
    let answered = 0;
    for (const each of polls) void each.then(() => answered++);
    await until(() => answered === 11, 'all but one are answered');
    await waiting(1);
    await bus.publish('/a', round);
    for (const { seq, status, messages } of await Promise.all(polls)) {
      t.equal(status, 200);
      t.equal(messages.length, seq === 11 ? 1 : 0);
    }
  }
});
