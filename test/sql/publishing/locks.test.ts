import t, { type Test } from 'tap';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { until } from '../../helpers/until.js';
import { openSession, openSessions, type Session } from '../session.js';

interface Sent {
  done: Promise<unknown>;
  /** Whether it had to wait for a lock. */
  waits: boolean;
}

/** Sends a statement; resolves once it is done or waits for a lock. */
async function send(database: TestDatabase, session: Session, text: string): Promise<Sent> {
  const pid = await session.value('select pg_backend_pid()');
  let settled = false;
  const done = session.value(text).finally(() => {
    settled = true;
  });
  // Its error is for those who wait for it.
  done.catch(() => {});
  let waits = false;
  await until(async () => {
    const [row] = await database.query('select cardinality(pg_blocking_pids($1)) > 0 as waits', [pid]);
    waits = !settled && row?.waits === true;
    return settled || waits;
  }, `"${text}" is done or waits`);
  return { done, waits };
}

async function refuseToWait({ client }: Session): Promise<void> {
  await client.query(`set lock_timeout = '100ms'`);
}

t.test('a transaction that has published and stays open holds up its channel alone', async (t) => {
  const database = await createDatabase(t);
  const [open, same, other] = await threeSessions(t, database);
  await open.client.query('begin');
  await open.value(`select message_bus.publish('/a', '1')`);
  const second = await send(database, same, `select message_bus.publish('/a', '2')`);
  t.ok(second.waits);

  // What may not wait fails here instead.
  await refuseToWait(other);
  t.equal(await other.value(`select message_bus.publish('/b', '1')`), 1, 'another channel');
  t.equal(await other.value(`select message_bus.publish('/a', '1', site_id => 's')`), 1, 'the channel of another site');
  t.strictSame(await other.value(`select message_bus.publish_many('[{"channel": "/c", "data": 1}]')`), [1], 'a batch');
  await other.value('select message_bus.configure(max_backlog_size => 500, max_global_backlog_size => 700)');
  await other.value('select message_bus.expire_all_backlogs()');
  t.strictSame(await other.rows(`select * from message_bus.backlog('/a')`), [], 'readers');
  t.equal(await other.value(`select message_bus.last_id('/a')`), 0);
  await t.rejects(other.value(`select message_bus.publish('/a', '3')`), { code: '55P03' }, 'the channel itself');

  await open.client.query('commit');
  t.equal(await second.done, 2);
  const messages = await other.rows('select message_id, data from message_bus.global_backlog() where channel = $1', [
    '/a',
  ]);
  t.strictSame(messages.slice(-2), [
    { message_id: 1, data: 1 },
    { message_id: 2, data: 2 },
  ]);
});

t.test('an open transaction that has sent a batch holds up all publishers, but no reader', async (t) => {
  const database = await createDatabase(t);
  const [open, waits, other] = await threeSessions(t, database);
  await open.client.query('begin');
  await open.value(`select message_bus.publish_many('[{"channel": "/a", "data": 1}]')`);
  const publication = await send(database, waits, `select message_bus.publish('/b', '1')`);
  t.ok(publication.waits);
  t.strictSame(await other.rows('select * from message_bus.global_backlog()'), []);
  await open.client.query('commit');
  t.equal(await publication.done, 1);
  t.strictSame(await other.column('select channel from message_bus.global_backlog()'), ['/a', '/b']);
});

t.test(
  'analyze of the whole database locks turn: inside a transaction it holds up all publishers until that ends',
  async (t) => {
    const database = await createDatabase(t);
    const [maintenance, waits] = await threeSessions(t, database);
    await maintenance.client.query('analyze');
    await maintenance.client.query('vacuum');
    await refuseToWait(waits);
    t.equal(
      await waits.value(`select message_bus.publish('/a', '1')`),
      1,
      'by themselves, both let go of each table at once',
    );
    await waits.client.query('reset lock_timeout');
    await maintenance.client.query('begin; analyze');
    const publication = await send(database, waits, `select message_bus.publish('/a', '2')`);
    t.ok(publication.waits);
    await maintenance.client.query('commit');
    t.equal(await publication.done, 2);
  },
);

t.test('batches that create what others have just created lock in one order', async (t) => {
  const database = await createDatabase(t);
  const [holder, first, second, single] = await openSessions(t, database.url, 4);
  if (!holder || !first || !second || !single) throw new Error('too few sessions');
  const batch = `select message_bus.publish_many('[{"channel": "/z", "data": 1}, {"channel": "/a", "data": 1}]')`;
  await holder.value(`select message_bus.publish('/z', '0')`);
  await holder.client.query('begin');
  await holder.value(`select message_bus.publish('/z', '0')`);
  // The first batch knows /z alone; the second, which begins later, may know /a too.
  const one = await send(database, first, batch);
  const a = await send(database, single, `select message_bus.publish('/a', '0')`);
  const two = await send(database, second, batch);
  await holder.client.query('commit');
  const ids = [await one.done, await two.done, await a.done];
  t.strictSame(ids.flat().sort(), [1, 2, 3, 3, 4]);
});

t.test('transactions with one channel each, and batches of many, never deadlock', async (t) => {
  const { url } = await createDatabase(t);
  const sessions = await openSessions(t, url, 12);
  const channels = Array.from({ length: 12 }, (_, i) => `/${i}`);
  const acknowledged = { messages: 0 };
  const work = async ({ client, value }: Session) => {
    for (let round = 0; round < 60; round++) {
      // New channels in every round: creating them locks too.
      const shuffled = [...channels, ...channels.map((channel) => `/r${round >> 1}${channel}`)]
        .map((channel) => ({ channel, data: 0, at: Math.random() }))
        .sort((a, b) => a.at - b.at);
      if (round % 3 === 0) {
        const [{ channel } = { channel: '/0' }] = shuffled;
        await client.query('begin');
        for (let i = 0; i < 3; i++) await value(`select message_bus.publish($1, '0')`, [channel]);
        await client.query('commit');
        acknowledged.messages += 3;
      } else {
        const messages = shuffled.slice(0, 10).map(({ channel, data }) => ({ channel, data }));
        await value('select message_bus.publish_many($1)', [JSON.stringify(messages)]);
        acknowledged.messages += messages.length;
      }
    }
  };
  await Promise.all(sessions.map(work));
  const [session] = sessions;
  t.equal(await session?.value('select max(global_id) from message_bus.global_backlog()'), acknowledged.messages);
});

t.test(
  'of two transactions with two channels each, in opposite orders, one is ended and the other publishes',
  async (t) => {
    const database = await createDatabase(t);
    const [first, second, third] = await threeSessions(t, database);
    const publish = (channel: string) => `select message_bus.publish('${channel}', '0')`;
    for (const channel of ['/a', '/b']) await third.value(publish(channel));
    for (const { client } of [first, second]) await client.query(`set deadlock_timeout = '50ms'; begin`);
    await first.value(publish('/a'));
    await second.value(publish('/b'));
    const outcomes = await Promise.allSettled([first.value(publish('/b')), second.value(publish('/a'))]);
    t.match(
      outcomes.filter(({ status }) => status === 'rejected'),
      [{ reason: { code: '40P01' } }],
    );
    for (const { client } of [first, second]) await client.query('commit');
    t.strictSame(await third.value(`select message_bus.last_ids('{/a,/b}')`), [2, 2]);
  },
);

async function threeSessions(t: Test, { url }: TestDatabase): Promise<[Session, Session, Session]> {
  return [await openSession(t, url), await openSession(t, url), await openSession(t, url)];
}
