import type { FastifyRequest } from 'fastify';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll, stream, type WireMessage } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const many = Array.from({ length: 30 }, (_, i) => `o${i}`);
// Ids as strings and numbers, on both sides: they are compared as strings.
const audiences = [
  {},
  { userIds: [7] },
  { userIds: ['7', 'eve'] },
  { groupIds: ['staff'] },
  { groupIds: [1, 2] },
  { userIds: ['eve'], groupIds: ['staff'] },
  { clientIds: ['tab'] },
  { clientIds: [5] },
  { clientIds: ['tab'], userIds: ['7'] },
  { clientIds: [5, 'tab'], groupIds: ['2', 'staff'] },
  { userIds: ['nobody'] },
  { userIds: ['null'], groupIds: ['undefined'] },
  { userIds: many },
  { userIds: [...many, 7], groupIds: [...many, 'other'] },
  { clientIds: [...many, 'tab'], groupIds: [...many, 2] },
];

interface Reader {
  client: string;
  user?: string | number;
  groups?: (string | number)[];
}

const readers: Reader[] = [
  { client: 'tab' },
  { client: '5' },
  { client: 'tab', user: '7' },
  { client: 'x', user: 7, groups: ['staff'] },
  { client: '5', user: 'eve', groups: [1] },
  { client: 'tab', user: 'g', groups: ['2', 'other'] },
  { client: '5', user: 'x', groups: ['staff', 2] },
];

/** The rule in other words than the code's. */
function sees({ client, user, groups = [] }: Reader, to: (typeof audiences)[number]): boolean {
  const has = (list: readonly unknown[] | undefined, id: unknown) => list?.map(String).includes(String(id)) ?? false;
  const isAddressed = !to.userIds && !to.groupIds;
  const isUser = user !== undefined && has(to.userIds, user);
  const isMember = groups.some((group) => has(to.groupIds, group));
  return (!to.clientIds || has(to.clientIds, client)) && (isAddressed || isUser || isMember);
}

const visible = (reader: Reader) => audiences.flatMap((to, i) => (sees(reader, to) ? [i + 1] : []));
const ids = (messages: WireMessage[]) => messages.filter((m) => m.channel !== '/__status').map((m) => m.message_id);

function asked(request: FastifyRequest): Partial<Reader> {
  const text = request.headers['x-reader'];
  return typeof text === 'string' ? JSON.parse(text) : {};
}

async function open(t: Test, isAsync: boolean) {
  const { url: database, query } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, {
    bus,
    userIdLookup: (request) => (isAsync ? Promise.resolve(asked(request).user) : asked(request).user),
    groupIdsLookup: (request) => (isAsync ? Promise.resolve(asked(request).groups) : asked(request).groups),
  });
  await until(() => bus.isConnected, 'the bus listens');
  return { bus, url, query };
}

const as = (reader: Reader) => ({ client: reader.client, headers: { 'x-reader': JSON.stringify(reader) } });

for (const isAsync of [false, true]) {
  t.test(`who sees what is one rule on every path, lookups ${isAsync ? 'async' : 'sync'}`, async (t) => {
    const { bus, url } = await open(t, isAsync);

    const streamed = readers.map(async (reader) => {
      const seen: WireMessage[] = [];
      for await (const frame of stream(url, { '/a': 0, '/end': 0 }, as(reader))) {
        seen.push(...frame);
        if (frame.some((message) => message.channel === '/end')) break;
      }
      return ids(seen.filter((message) => message.channel === '/a'));
    });
    await until(() => internalsOf(bus).dispatcher.counts.cursors === 2 * readers.length, 'the streams wait');
    for (const [i, to] of audiences.entries()) await bus.publish('/a', i, to);
    await bus.publish('/end', 0);
    for (const [i, reader] of readers.entries()) {
      t.strictSame(await streamed[i], visible(reader), `stream of ${JSON.stringify(reader)}`);
    }

    for (const reader of readers) {
      const { messages } = await poll(url, { '/a': 0 }, { ...as(reader), dlp: true });
      t.strictSame(ids(messages), visible(reader), `backlog of ${JSON.stringify(reader)}`);
      t.strictSame(messages.at(-1)?.data, { '/a': audiences.length }, 'moved on past what it may not see');
      for (const message of messages) t.strictSame(Object.keys(message).length, 4);
    }

    // Parked: one by one, all that it may not see first, then what it may.
    for (const reader of readers) {
      const from = await bus.lastId('/a');
      const answer = poll(url, { '/a': from }, as(reader));
      await until(() => internalsOf(bus).dispatcher.counts.cursors === 1, 'the poll waits');
      const [hidden, shown] = [false, true].map((is) => audiences.filter((to) => sees(reader, to) === is));
      for (const to of hidden ?? []) await bus.publish('/a', 'hidden', to);
      await bus.publish('/elsewhere', 1);
      t.equal(internalsOf(bus).dispatcher.counts.cursors, 1, 'not woken by what it may not see');
      await bus.publish('/a', 'shown', shown?.[0]);
      t.strictSame(
        (await answer).messages.map((message) => message.data),
        ['shown'],
      );
    }
  });
}

t.test('a transaction that publishes to several audiences tells each its part, in order', async (t) => {
  const { bus, url, query } = await open(t, false);
  const answers = readers.slice(2).map((reader) => poll(url, { '/a': 0 }, as(reader)));
  await until(() => internalsOf(bus).dispatcher.counts.cursors === answers.length, 'the polls wait');
  const list = audiences.map(({ userIds, groupIds, clientIds }, i) => ({
    channel: '/a',
    data: i,
    user_ids: userIds,
    group_ids: groupIds,
    client_ids: clientIds,
  }));
  await query('select message_bus.publish_many($1)', [JSON.stringify(list)]);
  for (const [i, answer] of answers.entries()) {
    const reader = readers[i + 2];
    t.strictSame(reader && ids((await answer).messages), reader && visible(reader));
  }
});

t.test('a client is moved on past what it may not see, and by no more', async (t) => {
  const { bus, url } = await open(t, false);
  const me = as({ client: 'tab', user: 7 });
  const status = (id: number) => ({ global_id: -1, message_id: -1, channel: '/__status', data: { '/a': id } });
  await bus.publish('/a', 1, { userIds: ['eve'] });
  await bus.publish('/a', 2, { userIds: ['eve'] });
  t.strictSame((await poll(url, { '/a': 0, '/b': 0 }, me)).messages, [status(2)], 'even when there is nothing else');
  const answer = poll(url, { '/a': 2 }, me);
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 1, 'the poll waits');
  await bus.publish('/a', 3, { userIds: ['eve'] });
  await bus.publish('/a', 4, { userIds: [7] });
  t.strictSame(ids((await answer).messages), [4]);

  const frames = stream(url, { '/a': 0 }, me);
  const first = (await frames.next()).value;
  t.strictSame(first && [ids(first), first.at(-1)], [[4], status(4)], 'a stream too, at its start');
  await frames.return();
});

for (const isAsync of [false, true]) {
  t.test(`sites are apart, and /global/ is for all of them, lookup ${isAsync ? 'async' : 'sync'}`, async (t) => {
    const { url: database } = await createDatabase(t);
    const bus = openBus(t, database);
    const siteOf = ({ headers }: FastifyRequest) =>
      typeof headers['x-site'] === 'string' ? headers['x-site'] : undefined;
    const { url } = await listen(t, {
      bus,
      siteIdLookup: (request) => (isAsync ? Promise.resolve(siteOf(request)) : siteOf(request)),
    });
    const ask = async (site: string | undefined, dlp = false) => {
      const headers: Record<string, string> = site === undefined ? {} : { 'x-site': site };
      const { messages } = await poll(url, { '/a': 0, '/global/a': 0 }, { headers, dlp });
      // Those of several channels come in no particular order.
      return messages.map((message) => message.data).sort();
    };
    const polls = ['one', 'two', undefined].map((site) => ask(site));
    await until(() => internalsOf(bus).dispatcher.counts.cursors === 6, 'all wait');
    await bus.publish('/a', 'to two', { siteId: 'two' });
    t.strictSame(await polls[1], ['to two']);
    t.equal(internalsOf(bus).dispatcher.counts.cursors, 4, 'the others were not woken');
    await bus.publish('/a', 'to none');
    t.strictSame(await polls[2], ['to none']);
    t.equal(internalsOf(bus).dispatcher.counts.cursors, 2);
    await bus.publish('/global/a', 'to all', { siteId: 'two' });
    t.strictSame(await polls[0], ['to all']);
    t.strictSame(await ask('one', true), ['to all']);
    t.strictSame(await ask('two', true), ['to all', 'to two']);
    t.strictSame(await ask(undefined, true), ['to all', 'to none']);
  });
}
