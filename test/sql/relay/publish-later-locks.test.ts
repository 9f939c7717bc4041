import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import type { Message } from '../../../src/index.js';
import { openBus } from '../../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { until } from '../../helpers/until.js';
import { openSessions, type Session } from '../session.js';

const later = (channel: string, data: string) => `select message_bus.publish_later('${channel}', '${data}')`;

for (const relay of [false, true]) {
  const how = relay ? 'with the relay' : 'at commit';

  t.test(
    `A, B against B, A, a thousand times with random delays, ${how}: no deadlock, no loss, in order`,
    async (t) => {
      const { url, query } = await createDatabase(t);
      await query(
        'select message_bus.configure(max_backlog_size => 10000, max_global_backlog_size => 10000, relay => $1)',
        [relay],
      );
      const bus = openBus(t, url);
      const received: Message[] = [];
      await bus.subscribe(null, (message) => received.push(message));
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
          // Hundreds of others have put down more and were published before it commits.
          if (Math.random() < 0.01) await delay(Math.random() * 500);
          await client.query('commit');
        }
      };
      await Promise.all(sessions.map(work));
      await until(() => received.length === 3 * 2 * rounds, 'all are received');
      t.strictSame(
        received.map(({ globalId }) => globalId),
        received.map((_, i) => i + 1),
      );
      for (const channel of ['/a', '/b']) {
        const messages = received.filter((message) => message.channel === channel);
        t.strictSame(
          messages.map(({ messageId }) => messageId),
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
    },
  );

  t.test(`a transaction that has put messages down delays nobody, however long it stays open, ${how}`, async (t) => {
    const { url, query } = await createDatabase(t);
    await query('select message_bus.configure(relay => $1)', [relay]);
    const [open, ...others] = await openSessions(t, url, 4);
    if (!open) throw new Error('no session');
    const bus = openBus(t, url);
    const arrivals = new Map<unknown, () => void>();
    const received: unknown[] = [];
    await bus.subscribe(null, ({ data }) => {
      received.push(data);
      arrivals.get(data)?.();
    });
    await open.client.query(`begin; ${later('/a', '"open"')}; ${later('/new', '"open"')}; ${later('/z', '"open"')}`);

    const acknowledged: number[] = [];
    const delivered: number[] = [];
    const ways = [
      (data: string) => `select message_bus.publish('/a', '${data}')`,
      (data: string) =>
        `select message_bus.publish_many('[{"channel": "/new", "data": ${data}}, {"channel": "/a", "data": 0}]')`,
      (data: string) => `begin; ${later('/a', data)}; ${later('/new', '0')}; ${later('/other', '0')}; commit`,
    ];
    const rounds = 150;
    await Promise.all(
      others.map(async ({ client }, n) => {
        // Who waits for the open transaction, waits in vain.
        await client.query(`set lock_timeout = '5s'`);
        for (let round = 0; round < rounds; round++) {
          const data = 1 + n + 3 * round;
          const arrival = new Promise<void>((resolve) => arrivals.set(data, resolve));
          const begun = performance.now();
          await client.query(ways[n]?.(String(data)) ?? '');
          acknowledged.push(performance.now() - begun);
          await arrival;
          delivered.push(performance.now() - begun);
        }
      }),
    );
    t.equal(delivered.length, 3 * rounds);
    t.notOk(received.includes('open'));
    const p99 = (times: number[]) => times.sort((a, b) => a - b)[Math.floor(0.99 * times.length)]?.toFixed(1);
    t.comment(`p99: acknowledged after ${p99(acknowledged)} ms, delivered after ${p99(delivered)} ms`);
    await open.client.query('commit');
    await until(() => received.filter((data) => data === 'open').length === 3, 'it is published after all');
    t.strictSame(received.slice(-3), ['open', 'open', 'open']);
  });
}

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
