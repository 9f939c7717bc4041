import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

/** Numbers of 131,061 digits, which take 16 bytes each in jsonb. */
const digits = (count: number) => `[${Array(count).fill('1.123456789012e131060').join(',')}]`;

/** What somebody has written to the table by hand, or published before there was a limit: 1, 3, 5 and 6 can be sent. */
async function plant(t: Test) {
  const { url, query } = await createDatabase(t);
  await query(`select message_bus.publish('/planted', to_jsonb(i)) from generate_series(1, 6) i`);
  const write = (id: number, data: string) =>
    query(`update message_bus.messages set data = ${data} where message_id = ${id}`);
  await write(2, 'to_jsonb(repeat(chr(1), 100000000))');
  // More than 1 GB of text: Postgres cannot make it.
  await write(4, `'${digits(9_000)}'`);
  await write(5, `to_jsonb(repeat('a', 2000000))`);
  return { url, query };
}

t.test('messages that are too large are passed over by every way to read, and kept in SQL', async (t) => {
  const { url, query } = await plant(t);
  const bus = openBus(t, url);
  const sizes = (messages: { messageId: number }[]) => messages.map(({ messageId }) => messageId);
  t.strictSame(sizes(await bus.backlog('/planted')), [1, 3, 5, 6]);
  t.strictSame(sizes(await bus.globalBacklog()), [1, 3, 5, 6]);
  for (const [id, isThere] of [
    [1, true],
    [2, false],
    [4, false],
    [5, true],
  ] as const)
    t.equal((await bus.getMessage('/planted', id)) !== null, isThere);
  const received: number[] = [];
  const all: number[] = [];
  await bus.subscribe('/planted', ({ messageId }) => received.push(messageId), { lastId: 0, onGap: () => {} });
  await bus.subscribe(null, ({ messageId }) => all.push(messageId), { lastId: 0, onGap: () => {} });
  await bus.publish('/planted', 7);
  await until(() => received.at(-1) === 7 && all.at(-1) === 7, 'both subscribers have got to the end');
  t.strictSame(
    [received, all],
    [
      [1, 3, 5, 6, 7],
      [1, 3, 5, 6, 7],
    ],
  );
  t.strictSame(await query(`select array_agg(message_id)::text as ids from message_bus.backlog('/planted')`), [
    { ids: '{1,2,3,4,5,6,7}' },
  ]);
  t.strictSame(await query('select count(*)::int from message_bus.global_backlog()'), [{ count: 7 }]);
  t.strictSame(await query(`select (message_bus.get_message('/planted', 2)).message_id::int as id`), [{ id: 2 }]);
});

t.test('polls move past what is too large, and those of another channel are answered meanwhile', async (t) => {
  const { url: database, query } = await plant(t);
  const { url } = await listen(t, { bus: openBus(t, database), longPollingEnabled: false });
  let isDone = false;
  const walk = async (client: string) => {
    const seen: number[] = [];
    for (let id = 0; id < 6; ) {
      const { status, messages } = await poll(url, { '/planted': id }, { client, dlp: true });
      t.equal(status, 200);
      for (const { channel, message_id, data } of messages) {
        if (channel === '/planted') seen.push(message_id);
        id = channel === '/planted' ? message_id : Number(Object(data)['/planted'] ?? id);
      }
    }
    return seen;
  };
  const walks = ['a', 'b', 'c'].map(walk);
  const others = (async () => {
    for (let i = 0; !isDone || i < 5; i++) {
      await query(`select message_bus.publish('/other', $1::jsonb)`, [i]);
      const { messages } = await poll(
        url,
        { '/other': i },
        { client: 'other', dlp: true, signal: AbortSignal.timeout(20_000) },
      );
      t.match(messages, [{ channel: '/other', data: i }]);
      await delay(10);
    }
  })();
  t.strictSame(await Promise.all(walks), [
    [1, 3, 5, 6],
    [1, 3, 5, 6],
    [1, 3, 5, 6],
  ]);
  isDone = true;
  await others;
  t.match(await poll(url, { '/planted': -4 }, { dlp: true }), { status: 200 });
});

t.test('a message with a huge list of ids, written by hand, is passed over too', async (t) => {
  const { url, query } = await createDatabase(t);
  await query(`select message_bus.publish('/a', to_jsonb(i), user_ids => '{7}') from generate_series(1, 2) i`);
  await query(`update message_bus.messages set user_ids = array[repeat('u', 70000000)] where message_id = 1`);
  const bus = openBus(t, url);
  t.match(await bus.backlog('/a'), [{ messageId: 2, userIds: ['7'] }]);
});

t.test('a slow read of one channel does not hold up those of others', async (t) => {
  const { url, query, pool } = await createDatabase(t);
  const bus = openBus(t, url);
  for (const channel of ['/slow', '/slower', '/quick']) await bus.publish(channel, channel);
  await query('alter function message_bus.read_channels rename to read_all_channels');
  await query(`create function message_bus.read_channels(sites text[], names text[], ids bigint[]) returns table (
      request int, last_id bigint, message_id bigint, global_id bigint, user_ids text[], group_ids text[], client_ids text[], data text, up_to bigint,
      version bigint, first_id bigint, expires bigint, now bigint
    ) language plpgsql as $$ begin
      if names && '{/slow,/slower}' then perform message_bus.wait_for_it(); end if;
      return query select * from message_bus.read_all_channels(sites, names, ids);
    end $$`);
  await query('create table gate ()');
  await query(`create function message_bus.wait_for_it() returns void language sql as 'select from public.gate'`);
  const client = await pool.connect();
  await client.query('begin; lock table gate');
  const slow = [bus.backlog('/slow'), delay(5).then(() => bus.backlog('/slower'))];
  const waiting = `select from pg_locks where relation = 'gate'::regclass and not granted`;
  await until(async () => (await query(waiting)).length === 2, 'both wait');
  t.match(await bus.backlog('/quick'), [{ data: '/quick' }]);
  await client.query('commit').finally(() => client.release());
  t.match(await Promise.all(slow), [[{ data: '/slow' }], [{ data: '/slower' }]]);
});
