import t from 'tap';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { publishAndStay } from '../helpers/open-transaction.js';
import { until } from '../helpers/until.js';
import { watch } from '../helpers/watch.js';

// However many channels are held, and whatever keeps them: the others go on, and nobody waits for ever.

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

t.test('a channel that is free does not wait for any of those that are held', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url, { queryTimeout: 10_000 });
  await bus.publish('/known', 0);
  const channels = numbers(30).map((i) => `/held/${i}`);
  const end = await publishAndStay(t, database, channels);

  await t.test('new ones like known ones, of the same batch', async (t) => {
    const settled: string[] = [];
    const note = (channel: string) =>
      bus
        .publish(channel, 1)
        .then(
          () => {},
          () => {},
        )
        .finally(() => settled.push(channel));
    for (const channel of channels.slice(0, 8)) note(channel);
    const free = ['/known', '/new/1', '/new/2'];
    await Promise.all(free.map(note));
    t.strictSame(settled.sort(), free);
  });

  await t.test('nor do messages to more and more of those that come after it', async (t) => {
    let isWaiting = true;
    const free = bus.publish('/known', 2).finally(() => {
      isWaiting = false;
    });
    for (const channel of channels.slice(8)) {
      if (!isWaiting) break;
      bus.publish(channel, 1).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    t.equal(await free, 3);
  });
  await end('rollback');
});

t.test('however many wait for a channel, all are refused in time', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url, { queryTimeout: 1_500 });
  await publishAndStay(t, database, ['/a', '/b']);
  const published = numbers(5_000).map((i) => bus.publish('/a', i));
  const states = published.map(watch);
  await t.rejects(bus.publish('/b', 'last'), { code: 'POSTBUS_LOCKED' });
  t.equal(states.filter(({ settled }) => !settled).length, 0, 'those that came before were told before');
  const outcomes = await Promise.allSettled(published);
  const isLocked = { status: 'rejected', reason: { code: 'POSTBUS_LOCKED' } };
  t.match([outcomes[0], outcomes[4_999]], [isLocked, isLocked]);
});

t.test('a clock that is set forward refuses nobody', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const end = await publishAndStay(t, database, ['/a']);
  const held = bus.publish('/a', 1);
  const now = Date.now;
  t.teardown(() => {
    Date.now = now;
  });
  Date.now = () => now() + 86_400_000;
  const tries = new Set<string>();
  const hasTriedAgain = async () => {
    const waits = await database.query<{ at: string }>(
      `select query_start::text as at from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
    );
    for (const { at } of waits) tries.add(at);
    return tries.size > 3;
  };
  const state = watch(held);
  await until(async () => state.settled || (await hasTriedAgain()), 'the node has tried again');
  await end('commit');
  t.equal(await held, 2);
});

t.test('a lock that is refused at once is not asked for again and again', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url, { queryTimeout: 1_000 });
  await bus.publish('/a', 0);
  await database.query(`
    create sequence tries;
    create function refuse() returns trigger language plpgsql as $$
      begin perform nextval('public.tries'); raise exception using errcode = '55P03', message = 'not now'; end $$;
    create trigger refuse before update on message_bus.channels for each row execute function refuse()`);
  await t.rejects(bus.publish('/a', 1), { code: 'POSTBUS_LOCKED' });
  const [row] = await database.query<{ last_value: string }>('select last_value from tries');
  t.ok(Number(row?.last_value) <= 25, `${row?.last_value} times a second`);
});

t.test('where Postgres does not tell which channels are held, each is tried', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const end = await publishAndStay(t, database, ['/a']);
  await database.query(`
    create or replace function message_bus.held_channels(sites text[], channel_names text[]) returns boolean[] language plpgsql
      as $$ begin raise exception using errcode = '40001', message = 'could not serialize access'; end $$`);
  const held = [bus.publish('/a', 1), bus.publish('/a', 2)];
  t.strictSame(await Promise.all([bus.publish('/b', 1), bus.publish('/b', 2)]), [1, 2]);
  await end('commit');
  t.strictSame(await Promise.all(held), [2, 3]);
});

t.test('close() answers all, in a pool that answers nothing too', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url, { pool: database.pool });
  await publishAndStay(t, database, ['/a']);
  await database.query(`
    create or replace function message_bus.held_channels(sites text[], channel_names text[]) returns boolean[] language plpgsql
      as $$ begin perform pg_sleep(600); end $$`);
  const published = [bus.publish('/a', 1), bus.publish('/b', 1)];
  const states = published.map(watch);
  const outcomes = Promise.allSettled(published);
  const isAsking = async () =>
    (await database.query(`select from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()`))
      .length > 0;
  await until(isAsking, 'the node asks which channels are held');
  await bus.close();
  t.strictSame(states, [{ settled: true }, { settled: true }]);
  await database.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()`,
  );
  for (const outcome of await outcomes) t.match(outcome, { status: 'rejected', reason: { code: 'POSTBUS_CLOSED' } });
});
