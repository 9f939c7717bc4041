import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { createDatabase, type TestDatabase } from '../helpers/database.js';
import { until } from '../helpers/until.js';
import { openSessions, type Session } from './session.js';

const later = (channel: string, data: string) => `select message_bus.publish_later('${channel}', '${data}')`;

t.test('A, B against B, A, a thousand times with random delays: no deadlock, no loss, in order', async (t) => {
  const { url, query } = await createDatabase(t);
  await query('select message_bus.configure(max_backlog_size => 10000, max_global_backlog_size => 10000)');
  const rounds = 1000;
  const sessions = await openSessions(t, url, 8);
  const work = async ({ client, value }: Session, worker: number) => {
    // A deadlock is ended soon enough to be seen, not waited out.
    await client.query(`set deadlock_timeout = '10ms'`);
    for (let round = 0; round < rounds / 4; round++) {
      // New channels too: creating them locks as well.
      const channels = ['/a', '/b', `/new/${round}`];
      await client.query('begin');
      for (const channel of worker % 2 === 0 ? channels : channels.reverse()) {
        await value('select message_bus.publish_later($1, $2)', [channel, JSON.stringify([worker, round])]);
        if (Math.random() < 0.2) await delay(Math.random() * 3);
      }
      await client.query('commit');
    }
  };
  await Promise.all(sessions.map(work));
  const [session] = sessions;
  if (!session) throw new Error('no session');
  t.equal(await session.value('select count(*) from message_bus.global_backlog()'), 3 * 2 * rounds);
  for (const channel of ['/a', '/b']) {
    const messages = await session.rows('select message_id, data from message_bus.backlog($1)', [channel]);
    t.strictSame(
      messages.map((message) => message.message_id),
      messages.map((_, i) => i + 1),
    );
    for (let worker = 0; worker < sessions.length; worker++) {
      const its = messages.map(({ data }) => data).filter((data) => Array.isArray(data) && data[0] === worker);
      t.strictSame(
        its,
        Array.from({ length: rounds / 4 }, (_, round) => [worker, round]),
        `${channel}, publisher ${worker}`,
      );
    }
  }
});

t.test('a transaction left open that has put messages down delays nobody', async (t) => {
  const { url } = await createDatabase(t);
  const [open, other] = await openSessions(t, url, 2);
  if (!open || !other) throw new Error('too few sessions');
  await other.value(`select message_bus.publish('/a', '0')`);
  await open.client.query(`begin; ${later('/a', '1')}; ${later('/new', '1')}`);
  // What would have to wait fails here.
  await other.client.query(`set lock_timeout = '20ms'`);
  let id = 1;
  const end = Date.now() + 3_000;
  while (Date.now() < end) {
    t.equal(await other.value(`select message_bus.publish('/a', '2')`), ++id);
    await other.value(
      `select message_bus.publish_many('[{"channel": "/a", "data": 2}, {"channel": "/new", "data": 2}]')`,
    );
    id++;
    await other.client.query(`begin; ${later('/new', '3')}; ${later('/a', '3')}; commit`);
    id++;
    await delay(50);
  }
  await open.client.query('commit');
  t.equal(await other.value(`select message_bus.last_id('/a')`), id + 1);
});

t.test('publish and publish_later in one transaction: channels are locked before the counter', async (t) => {
  const database = await createDatabase(t);
  const [holder, mixed, observer] = await openSessions(t, database.url, 3);
  if (!holder || !mixed || !observer) throw new Error('too few sessions');
  for (const channel of ['/a', '/new']) {
    await holder.client.query(`begin; select message_bus.publish('${channel}', '"holder"')`);
    await mixed.client.query(`begin; select message_bus.publish('/other', '1'); ${later(channel, '2')}`);
    const pid = await mixed.value('select pg_backend_pid()');
    const commit = mixed.client.query('commit');
    await until(() => waits(database, pid), 'it waits for the channel');
    // Were the counter its own already, this would wait; and the holder, at its commit, be part of a deadlock.
    await observer.client.query(`set lock_timeout = '2s'; select message_bus.publish('/third', '3')`);
    await holder.client.query('commit');
    await commit;
  }
  t.strictSame(await observer.column(`select data from message_bus.global_backlog()`), [
    3,
    'holder',
    1,
    2,
    3,
    'holder',
    1,
    2,
  ]);
});

t.test('channels are locked in sorted order, in whichever they were put down, after publish too', async (t) => {
  const database = await createDatabase(t);
  const [holder, own, observer] = await openSessions(t, database.url, 3);
  if (!holder || !own || !observer) throw new Error('too few sessions');
  await observer.client.query(`set lock_timeout = '2s'; select message_bus.publish('/b', '0')`);
  const pid = await own.value('select pg_backend_pid()');
  for (const before of ['', `select message_bus.publish('/other', '1')`]) {
    await holder.client.query(`begin; select message_bus.publish('/b', '1')`);
    await own.client.query(`begin; ${before}; ${later('/c', '2')}; ${later('/b', '2')}; ${later('/new', '2')}`);
    const commit = own.client.query('commit');
    await until(() => waits(database, pid), 'it waits for the first channel');
    // Were they its own already, these would wait.
    for (const channel of ['/c', '/new']) await observer.value('select message_bus.publish($1, $2)', [channel, '3']);
    await holder.client.query('commit');
    await commit;
  }
  for (const channel of ['/b', '/c', '/new'])
    t.equal(await observer.value('select message_bus.last_id($1)', [channel]), channel === '/b' ? 5 : 4);
});

async function waits({ query }: TestDatabase, pid: unknown): Promise<boolean> {
  const [row] = await query('select cardinality(pg_blocking_pids($1)) > 0 as waits', [pid]);
  return row?.waits === true;
}
