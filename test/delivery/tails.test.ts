import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { openBus } from '../helpers/bus.js';
import { countedPool } from '../helpers/counted-pool.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

/** A node whose statements are counted. */
async function startNode(t: Test, databaseUrl: string, longPollingInterval = 100) {
  const { pool, statements } = countedPool(t, databaseUrl);
  const bus = openBus(t, databaseUrl, { pool });
  const { url } = await listen(t, { bus, longPollingInterval });
  await until(() => bus.isConnected, 'the node listens');
  const count = (what: string) => statements.filter((text) => text.includes(what)).length;
  return { bus, url, statements, reads: () => count('read_channels'), heads: () => count('read_heads') };
}

async function idsOf(url: string, channel: string, after: number, dlp: boolean): Promise<number[]> {
  const { messages } = await poll(url, { [channel]: after }, { dlp, client: `${Math.random()}` });
  return messages.filter((message) => message.channel === channel).map((message) => message.message_id);
}

t.test('what was acknowledged anywhere is in every answer given at once, from memory or not', async (t) => {
  const { url: databaseUrl, query } = await createDatabase(t);
  const nodes = [await startNode(t, databaseUrl), await startNode(t, databaseUrl)];
  const ways = [
    ...nodes.map(
      ({ bus }) =>
        () =>
          bus.publish('/a', 'x'.repeat(Math.random() < 0.1 ? 9_000 : 10)),
    ),
    () => query(`select message_bus.publish('/a', '1')`),
    () => query(`select message_bus.publish_many('[{"channel": "/b", "data": 1}, {"channel": "/a", "data": 2}]')`),
  ];
  for (let last = 1; last <= 200; last++) {
    await any(ways)();
    const after = Math.max(0, last - Math.floor(Math.random() * 8));
    const answers = nodes.map(async ({ url, bus }) => ({
      poll: idsOf(url, '/a', after, true),
      backlog: bus.backlog('/a', after).then((messages) => messages.map(({ messageId }) => messageId)),
      lastMessage: (await bus.lastMessage('/a'))?.messageId,
      lastId: await bus.lastId('/a'),
    }));
    for (const answer of await Promise.all(answers)) {
      const ids = Array.from({ length: last - after }, (_, i) => after + 1 + i);
      const { poll, backlog, ...rest } = answer;
      t.strictSame(
        { poll: await poll, backlog: await backlog, ...rest },
        { poll: ids, backlog: ids, lastMessage: last, lastId: last },
      );
    }
  }
  for (const { reads, heads } of nodes) t.ok(heads() > reads(), `${heads()} looks, ${reads()} reads`);
});

t.test('whatever changes sizes, ages and settings, polls show what the backlog is', async (t) => {
  const { url: databaseUrl, query } = await createDatabase(t);
  const nodes = [await startNode(t, databaseUrl), await startNode(t, databaseUrl)];
  let heard = 0;
  for (const { bus } of nodes) await bus.subscribe('/marker', () => heard++);
  const readable = async (after: number) => {
    const rows = await query<{ id: string }>(`select message_id as id from message_bus.backlog('/a', $1)`, [after]);
    return rows.map(({ id }) => Number(id));
  };
  const seldom = <T>(value: () => T, otherwise: T) => (Math.random() < 0.15 ? value() : otherwise);
  const some = (most: number) => 1 + Math.floor(Math.random() * most);
  const options = () => ({
    maxBacklogSize: seldom(() => some(30), undefined),
    maxBacklogAge: seldom(() => some(2), undefined),
  });
  const settings = () => ({ maxBacklogSize: some(40), maxBacklogAge: any([1, 2, 3, 1_000]) });
  const bySql = ({ maxBacklogSize, maxBacklogAge }: ReturnType<typeof options>) =>
    query(`select message_bus.publish('/a', '1', max_backlog_size => $1, max_backlog_age => $2)`, [
      maxBacklogSize,
      maxBacklogAge,
    ]);
  const bus = () => any(nodes).bus;
  const changes = [
    ...Array.from({ length: 8 }, () => () => bus().publish('/a', 1, options())),
    ...Array.from({ length: 4 }, () => () => bySql(options())),
    ...Array.from(
      { length: 4 },
      () => () => Promise.all(Array.from({ length: some(20) }, () => bus().publish('/a', 1, options()))),
    ),
    () => bus().configure(settings()),
    () => bus().expireAllBacklogs(),
    () => query('select message_bus.configure(max_backlog_size => $1)', [some(40)]),
    () => seldom(() => query('select message_bus.reset()'), undefined),
  ];
  let compared = 0;
  for (let round = 1; round <= 150; round++) {
    await any(changes)();
    const after = Math.max(0, (await bus().lastId('/a')) - Math.floor(Math.random() * 45));
    const compare = async (what: string, ask: (node: (typeof nodes)[number]) => Promise<number[]>) => {
      const before = await readable(after);
      if (before.length === 0) return;
      const answers = await Promise.all(nodes.map(ask));
      // Messages pass their age meanwhile.
      const behind = await readable(after);
      for (const ids of answers) {
        t.strictSame(
          ids.filter((id) => !before.includes(id)),
          [],
          `${what}: what can no longer be read`,
        );
        t.strictSame(
          behind.filter((id) => !ids.includes(id)),
          [],
          `${what}: what can be read`,
        );
        compared += ids.length;
      }
    };
    await compare('answered at once', ({ url }) => idsOf(url, '/a', after, true));
    await compare('the backlog', async ({ bus }) => (await bus.backlog('/a', after)).map(({ messageId }) => messageId));
    // Those who may wait see what has been notified.
    heard = 0;
    await query(`select message_bus.publish('/marker', '1')`);
    await until(() => heard === nodes.length, 'notifications have arrived');
    await compare('a poll that may wait', ({ url }) => idsOf(url, '/a', after, false));
  }
  t.ok(compared > 2_000, `${compared} messages`);
  for (const { reads, heads } of nodes) t.ok(heads() > reads(), `${heads()} looks, ${reads()} reads`);
});

t.test('a node that drops the backlogs, or makes them smaller, shows nobody what is gone', async (t) => {
  const { url: databaseUrl } = await createDatabase(t);
  const { bus, url } = await startNode(t, databaseUrl);
  for (let round = 1; round <= 20; round++) {
    for (let i = 0; i < 3; i++) await bus.publish('/a', i);
    const last = 3 * round;
    await until(async () => (await idsOf(url, '/a', last - 3, false)).length === 3, 'it is in memory');
    await bus.configure({ maxBacklogSize: 1 });
    t.strictSame(await idsOf(url, '/a', 0, false), [last], 'one is left');
    await any([() => bus.reset(), () => bus.expireAllBacklogs()])();
    t.strictSame(await idsOf(url, '/a', 0, false), [], 'none is');
    await bus.configure({ maxBacklogSize: 1000 });
  }
});

t.test('a backup that is put in place: what was published after it is forgotten', async (t) => {
  const { url: databaseUrl, query } = await createDatabase(t);
  const { bus, url } = await startNode(t, databaseUrl);
  const follow = async (after: number) => {
    const { messages } = await poll(url, { '/a': after }, { dlp: true });
    return messages.map(({ message_id, data }) => [message_id, data]);
  };
  for (let id = 1; id <= 5; id++) await bus.publish('/a', `first ${id}`);
  t.equal((await follow(0)).length, 5);
  await query(`update message_bus.channels set last_id = 3; delete from message_bus.messages where message_id > 3`);
  t.strictSame(
    await follow(1),
    [2, 3].map((id) => [id, `first ${id}`]),
    'those who are behind it',
  );
  t.strictSame(await follow(5), [[-1, { '/a': 3 }]], 'those who are ahead of it');
  for (let id = 4; id <= 6; id++) await bus.publish('/a', `second ${id}`);
  // In this moment the node may find out that the past is another one, and tell the client where it is.
  const messages = (await follow(3)).filter(([id]) => id !== -1);
  t.strictSame(
    messages,
    [4, 5, 6].map((id) => [id, `second ${id}`]),
  );
  t.equal((await bus.backlog('/a')).at(3)?.data, 'second 4');
});

t.test('a thousand subscribers cost Postgres what one costs', async (t) => {
  const { url: databaseUrl } = await createDatabase(t);
  const publisher = openBus(t, databaseUrl);
  const cost = async (subscribers: number, channel: string) => {
    const { bus, url, statements } = await startNode(t, databaseUrl, 25_000);
    let got = 0;
    const follow = async () => {
      for (let at = 0; at < 40; ) {
        const ids = await idsOf(url, channel, at, false);
        at = ids.at(-1) ?? at;
        got += ids.length;
        // Clients are slow, each in its own way: they come back to more than one message.
        await delay(Math.random() * 30);
      }
    };
    await publisher.publish(channel, 0);
    await bus.backlog(channel);
    const following: Promise<void>[] = [];
    for (let i = 1; i <= subscribers; i++) {
      following.push(follow());
      if (i % 100 === 0) await until(() => got >= i - 50, 'they are let in');
    }
    await until(() => got === subscribers, 'all have the first one');
    const before = statements.length;
    // Some are too large to come along with their notification: one read each.
    for (let id = 2; id <= 40; id++) {
      await publisher.publish(channel, 'x'.repeat(id % 10 === 0 ? 9_000 : 10));
      await delay(5);
    }
    await Promise.all(following);
    t.equal(got, 40 * subscribers);
    // A node looks at the state of the database all the time, whoever subscribes.
    return statements.slice(before).filter((text) => !text.includes('node_state'));
  };
  const one = await cost(1, '/one');
  const crowd = await cost(1_000, '/crowd');
  t.strictSame(crowd, one);
});

function any<T>(list: readonly T[]): T {
  const item = list[Math.floor(Math.random() * list.length)];
  if (item === undefined) throw new Error('nothing to choose from');
  return item;
}
