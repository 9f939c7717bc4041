import type { Test } from 'tap';
import { internalsOf } from '../../../src/bus/internals.js';
import type { Bus, Message } from '../../../src/index.js';
import { poll, listen as serve } from '../../helpers/server.js';
import { until } from '../../helpers/until.js';
import { listen, type OpenHost } from './host.js';

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
const dataOf = (messages: Message[]) => messages.map(({ data }) => data);

export function publishing(t: Test, open: OpenHost): void {
  t.test('what is published reaches a subscriber and stays in the backlog', async (t) => {
    const bus = (await open(t)).openBus();
    const received: unknown[] = [];
    await bus.subscribe('/a', (message) => received.push(message));
    t.equal(await bus.publish('/a', { hello: ['world'] }), 1);
    const message = {
      globalId: 1,
      messageId: 1,
      channel: '/a',
      siteId: null,
      data: { hello: ['world'] },
      userIds: null,
      groupIds: null,
      clientIds: null,
    };
    await until(() => received.length === 1, 'the subscriber was called');
    t.strictSame(received, [message]);
    t.strictSame(await bus.backlog('/a'), [message]);
  });

  t.test('any JSON comes back as it was, also what is too large for a notification', async (t) => {
    const { bus } = await listen(t, open);
    const values = [
      null,
      true,
      0,
      -1.5,
      1e300,
      '',
      '\t\n"\\ é 😀 \u2028',
      [],
      {},
      { a: [{ b: null }] },
      'x'.repeat(200_000),
    ];
    const received: unknown[] = [];
    await bus.subscribe('/a', ({ data }) => received.push(data));
    for (const value of values) await bus.publish('/a', value);
    await until(() => received.length === values.length, 'all came');
    t.strictSame(received, values);
    t.strictSame(dataOf(await bus.backlog('/a')), values);
    for (const data of [undefined, () => {}, 1n, '\0']) {
      await t.rejects(bus.publish('/a', data), { code: 'POSTBUS_BAD_DATA' });
    }
  });

  t.test('data that is too large is refused with its size, alone', async (t) => {
    const { bus } = await listen(t, open);
    const results = await Promise.allSettled(['a', 'x'.repeat(1_048_575), 'b'].map((data) => bus.publish('/a', data)));
    t.match(results, [
      { value: 1 },
      {
        reason: {
          code: 'POSTBUS_DATA_TOO_LARGE',
          statusCode: 413,
          message: /^data: has 1048577 bytes of text or more, and max_data_size is 1048576\. .*maxDataSize/,
        },
      },
      { value: 2 },
    ]);
    await t.rejects(bus.publish('/a', 'x'.repeat(67_108_865)), { code: 'POSTBUS_DATA_TOO_LARGE' });
    await bus.configure({ maxDataSize: 1_048_577 });
    t.equal(await bus.publish('/a', 'x'.repeat(1_048_575)), 3);
    await t.rejects(bus.configure({ maxDataSize: 67_108_865 }), { code: 'POSTBUS_BAD_LIMIT' });
  });

  t.test('reading', async (t) => {
    const bus = (await open(t)).openBus();
    t.strictSame(await bus.lastIds(['/a', '/b']), [0, 0]);
    t.equal(await bus.lastMessage('/a'), null);
    for (const i of numbers(3)) await bus.publish('/a', i);
    await bus.publish('/b', 'b');
    t.equal(await bus.lastId('/a'), 3);
    t.strictSame(await bus.lastIds(['/b', '/a', '/c']), [1, 3, 0]);
    t.match(await bus.lastMessage('/a'), { messageId: 3, data: 3 });
    t.match(await bus.getMessage('/a', 2), { messageId: 2, globalId: 2, data: 2 });
    t.equal(await bus.getMessage('/a', 4), null);
    t.strictSame(dataOf(await bus.backlog('/a', 1)), [2, 3]);
    t.strictSame(dataOf(await bus.globalBacklog(2)), [3, 'b']);
  });

  t.test('ids are given in the order of the calls, by several buses without gaps', async (t) => {
    const host = await open(t);
    const buses = [host.openBus(), host.openBus()];
    const all: number[] = [];
    await Promise.all(
      buses.map(async (bus) => {
        const ids = await Promise.all(
          numbers(300).map((i) => bus.publish('/a', i, i % 7 === 0 ? { siteId: 's' } : {})),
        );
        const ofNone = ids.filter((_, i) => (i + 1) % 7 !== 0);
        t.strictSame(
          ofNone,
          [...ofNone].sort((a, b) => a - b),
        );
        all.push(...ofNone);
      }),
    );
    t.strictSame(
      all.sort((a, b) => a - b),
      numbers(2 * 258),
    );
  });

  t.test('messages for users, groups and clients', async (t) => {
    const { bus } = await listen(t, open);
    await bus.publish('/a', 'users', { userIds: [7, 'eight'] });
    await bus.publish('/a', 'groups', { groupIds: ['g'], clientIds: ['c'] });
    const [users, groups] = await bus.backlog('/a');
    t.match(users, { userIds: ['7', 'eight'], groupIds: null, clientIds: null });
    t.match(groups, { userIds: null, groupIds: ['g'], clientIds: ['c'] });
    const { url } = await serve(t, { bus, userIdLookup: (request) => request.headers['x-user']?.toString() });
    const shownTo = async (headers: Record<string, string>) => {
      const { messages } = await poll(url, { '/a': 0 }, { headers, dlp: true });
      return messages.filter(({ channel }) => channel === '/a').map(({ data }) => data);
    };
    t.strictSame(await shownTo({ 'x-user': '7' }), ['users']);
    t.strictSame(await shownTo({}), []);
    await t.rejects(bus.publish('/a', 1, { userIds: [] }), { code: 'POSTBUS_BAD_TARGETS' });
  });

  t.test('numbers that JavaScript cannot tell apart are no ids; bigints and strings are exact', async (t) => {
    const bus = (await open(t)).openBus();
    for (const id of [2 ** 53, 2 ** 53 + 2, -(2 ** 53), 1.5, -0, 1e21, Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const targets of [{ userIds: [id] }, { groupIds: ['staff', id] }, { clientIds: [id] }]) {
        await t.rejects(bus.publish('/a', 'secret', targets), {
          code: 'POSTBUS_BAD_TARGETS',
          message: new RegExp(`^${Object.keys(targets)[0]}: .*strings or bigints`),
        });
      }
    }
    await bus.publish('/a', 'one', { userIds: [9_007_199_254_740_993n, 0n], groupIds: [2 ** 53 - 1, 0] });
    await bus.publish('/a', 'other', { userIds: ['9007199254740992'] });
    t.match(await bus.backlog('/a'), [
      { userIds: ['9007199254740993', '0'], groupIds: ['9007199254740991', '0'] },
      { userIds: ['9007199254740992'] },
    ]);
    let user: number | bigint = 9_007_199_254_740_993n;
    const { url } = await serve(t, { bus, userIdLookup: () => user });
    const read = async () => (await poll(url, { '/a': 0 }, { dlp: true })).messages.map(({ data }) => data);
    t.match(await read(), ['one', { '/a': 2 }]);
    user = 9_007_199_254_740_992n;
    t.match(await read(), ['other']);
    user = 9_007_199_254_740_992;
    const { status, text } = await poll(url, { '/a': 0 }, { dlp: true });
    t.equal(status, 500);
    t.match(JSON.parse(text), { code: 'POSTBUS_LOOKUP_FAILED' });
  });

  t.test('sites', async (t) => {
    const bus = (await open(t)).openBus();
    await bus.publish('/a', 'none');
    t.equal(await bus.publish('/a', 'one', { siteId: 'one' }), 1);
    await bus.publish('/global/a', 'all', { siteId: 'one' });
    t.strictSame(dataOf(await bus.backlog('/a')), ['none']);
    t.strictSame(dataOf(await bus.backlog('/a', 0, { siteId: 'one' })), ['one']);
    t.strictSame(dataOf(await bus.backlog('/global/a', 0, { siteId: 'other' })), ['all']);
  });

  t.test('a waiting poll is answered, a stream goes on', async (t) => {
    const { bus } = await listen(t, open);
    const { url } = await serve(t, { bus });
    const parked = poll(url, { '/a': 0 });
    await until(() => internalsOf(bus).dispatcher.counts.cursors === 1, 'it waits');
    await bus.publish('/a', { n: 1 });
    t.match((await parked).messages, [{ global_id: 1, message_id: 1, channel: '/a', data: { n: 1 } }]);
  });

  t.test('what SQL publishes arrives', async (t) => {
    const { host, bus } = await listen(t, open);
    const received: unknown[] = [];
    await bus.subscribe('/a', ({ data }) => received.push(data));
    await host.query(`select message_bus.publish('/a', $1)`, ['"singly"']);
    await host.query(`select message_bus.publish_many($1)`, [
      '[{"channel": "/a", "data": 1}, {"channel": "/a", "data": 2}]',
    ]);
    await until(() => received.length === 3, 'all came');
    t.strictSame(received, ['singly', 1, 2]);
  });

  t.test('retention by number and by age, bus-wide and per message', async (t) => {
    const { bus } = await listen(t, open);
    await bus.configure({ maxBacklogSize: 3, maxGlobalBacklogSize: 4 });
    for (const i of numbers(5)) await bus.publish('/a', i);
    await bus.publish('/b', 6, { maxBacklogAge: 1 });
    t.strictSame(dataOf(await bus.backlog('/a')), [3, 4, 5]);
    t.strictSame(dataOf(await bus.globalBacklog()), [3, 4, 5, 6]);
    await bus.publish('/a', 7, { maxBacklogSize: 1 });
    t.strictSame(dataOf(await bus.backlog('/a')), [7]);
    await until(async () => (await bus.lastMessage('/b')) === null, 'it has expired');
    t.equal(await bus.lastId('/b'), 1);
    await t.rejects(bus.configure({ maxBacklogSize: 0 }), { code: 'POSTBUS_BAD_LIMIT' });
  });

  for (const drop of ['expireAllBacklogs', 'reset'] as const) {
    t.test(`${drop}: no id is used again, and those who wait go on`, async (t) => {
      const { host, bus } = await listen(t, open);
      const other: Bus = host.openBus();
      const received: number[] = [];
      await bus.subscribe('/a', ({ messageId }) => received.push(messageId));
      for (const i of numbers(3)) await other.publish('/a', i);
      await other[drop]();
      t.strictSame(await other.globalBacklog(), []);
      t.equal(await other.publish('/a', 4), 4);
      await until(() => received.length === 4, 'it goes on');
      t.strictSame(received, numbers(4));
      t.strictSame(dataOf(await bus.backlog('/a')), [4]);
    });
  }

  t.test('a message that Postgres refuses fails alone', async (t) => {
    const host = await open(t);
    const bus = host.openBus();
    await bus.publish('/a', 'first');
    await host.query(`alter table message_bus.messages add check (data <> '"refused"')`);
    const results = await Promise.allSettled([2, 'refused', 3].map((data) => bus.publish('/a', data)));
    t.strictSame(
      results.map((result) => (result.status === 'fulfilled' ? result.value : result.reason.code)),
      [2, 'POSTBUS_QUERY_FAILED', 3],
    );
  });
}
