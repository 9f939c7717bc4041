import t from 'tap';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { publishAndStay } from '../helpers/open-transaction.js';
import { until } from '../helpers/until.js';
import { watch } from '../helpers/watch.js';

// A transaction that has published holds its channels until it ends. It delays nobody else.

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

t.test('other channels of the node go on, and those of other nodes', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const other = openBus(t, database.url);
  await bus.publish('/known', 'first');
  const end = await publishAndStay(t, database, ['/known', '/new']);
  const held = numbers(50).map((i) => bus.publish(i % 2 ? '/known' : '/new', i));
  const states = held.map(watch);
  // Between them in the same batches, and after them.
  const free = numbers(50).map((i) => bus.publish(`/free/${i % 7}`, i));
  await Promise.all(free);
  await Promise.all(numbers(20).map((i) => bus.publish('/free/0', i)));
  await Promise.all(numbers(20).map((i) => other.publish('/free/0', i)));
  t.strictSame(
    states.filter(({ settled }) => settled),
    [],
    'those to the held channels wait',
  );
  const late = [bus.publish('/known', 'late'), bus.publish('/new', 'late')];
  await end('commit');
  t.strictSame(
    await Promise.all(held),
    numbers(50).map((i) => Math.ceil(i / 2) + (i % 2 ? 2 : 1)),
    'in their order',
  );
  t.strictSame(await Promise.all(late), [28, 27], 'and what was published last comes last');
  t.equal(await bus.publish('/known', 'again'), 29, 'as before');
});

t.test('a transaction that is undone was never there', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const end = await publishAndStay(t, database, ['/a']);
  const held = [bus.publish('/a', 1), bus.publish('/a', 2)];
  await bus.publish('/b', 1);
  await end('rollback');
  t.strictSame(await Promise.all(held), [1, 2]);
});

t.test('many channels, held and let go at random, under load: all in order, none lost, none twice', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const channels = numbers(6).map((i) => `/${i}`);
  const sent = new Map<string, number[]>(channels.map((channel) => [channel, []]));
  const ids = new Map<string, Promise<number>[]>(channels.map((channel) => [channel, []]));
  let done = false;
  const hold = async () => {
    while (!done) {
      const end = await publishAndStay(t, database, [channels[Math.floor(Math.random() * channels.length)] ?? '/1']);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 1_500));
      await end(Math.random() < 0.5 ? 'commit' : 'rollback');
    }
  };
  const holding = [hold(), hold()];
  for (const i of numbers(400)) {
    const channel = channels[Math.floor(Math.random() * channels.length)] ?? '/1';
    sent.get(channel)?.push(i);
    ids.get(channel)?.push(bus.publish(channel, i));
    if (i % 5 === 0) await new Promise((resolve) => setTimeout(resolve, Math.random() * 30));
  }
  await Promise.all([...ids.values()].flat());
  done = true;
  await Promise.all(holding);
  for (const channel of channels) {
    const backlog = await bus.backlog(channel);
    const ours = backlog.filter(({ data }) => data !== 'held');
    t.strictSame(
      ours.map(({ data }) => data),
      sent.get(channel),
      channel,
    );
    t.strictSame(
      await Promise.all(ids.get(channel) ?? []),
      ours.map(({ messageId }) => messageId),
    );
    t.strictSame(
      backlog.map(({ messageId }) => messageId),
      numbers(backlog.length),
    );
  }
});

t.test('who waits too long is told what is in the way, and that nothing was published', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url, { queryTimeout: 1_500 });
  const end = await publishAndStay(t, database, ['/a']);
  await t.rejects(bus.publish('/a', 1), {
    code: 'POSTBUS_LOCKED',
    statusCode: 503,
    message: /\/a was not published.*End it/,
  });
  await end('rollback');
  t.equal(await bus.publish('/a', 2), 1);
});

t.test('a transaction that has sent a batch holds the whole bus', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  await bus.publish('/a', 0);
  const client = await database.pool.connect();
  await client.query(`begin; select message_bus.publish_many('[{"channel": "/other", "data": 1}]')`);
  const sent = numbers(40).map((i) => bus.publish(i % 2 ? '/a' : '/b', i));
  const waits = new Set<string>();
  const isTriedAgain = async () => {
    const rows = await database.query<{ since: string }>(
      `select query_start::text as since from pg_stat_activity
        where datname = current_database() and application_name = 'postbus' and wait_event_type = 'Lock'`,
    );
    for (const { since } of rows) waits.add(since);
    return waits.size > 1;
  };
  await until(isTriedAgain, 'a first wait was given up');
  await client.query('commit');
  client.release();
  t.strictSame(
    await Promise.all(sent),
    numbers(40).map((i) => Math.ceil(i / 2) + (i % 2)),
  );

  await t.test('for too long', async (t) => {
    const impatient = openBus(t, database.url, { queryTimeout: 1_500 });
    const holder = await database.pool.connect();
    await holder.query(`begin; select message_bus.publish_many('[{"channel": "/other", "data": 1}]')`);
    const outcomes = await Promise.allSettled([impatient.publish('/a', 1), impatient.publish('/c', 1)]);
    await holder.query('rollback');
    holder.release();
    for (const outcome of outcomes) t.match(outcome, { status: 'rejected', reason: { code: 'POSTBUS_LOCKED' } });
    t.equal(await impatient.publish('/c', 1), 1);
  });
});

t.test('close() refuses what it cannot send', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const end = await publishAndStay(t, database, ['/a']);
  const held = [bus.publish('/a', 1), bus.publish('/a', 2)];
  await bus.publish('/b', 1);
  const outcomes = Promise.allSettled(held);
  await bus.close();
  for (const outcome of await outcomes)
    t.match(outcome, { status: 'rejected', reason: { code: /^POSTBUS_(CLOSED|CONNECTION_LOST)$/ } });
  await end('rollback');
});
