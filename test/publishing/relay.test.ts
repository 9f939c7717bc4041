import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { NodeProcesses } from '../helpers/node-processes.js';
import { until } from '../helpers/until.js';
import { openSessions, type Session } from '../sql/session.js';

t.test('nodes killed while they relay: each message is published once, in the order of its publisher', async (t) => {
  const database = await createDatabase(t);
  const { url, query } = database;
  await query(
    'select message_bus.configure(relay => true, max_backlog_size => 1000000, max_global_backlog_size => 1000000)',
  );
  const nodes = new NodeProcesses(t, database);
  for (let i = 0; i < 2; i++) nodes.start();

  let publishing = true;
  const sessions = await openSessions(t, url, 4);
  const publish = async ({ client }: Session, publisher: number) => {
    let n = 0;
    while (publishing) {
      await client.query('begin');
      for (let i = Math.ceil(Math.random() * 20); i > 0; i--)
        await client.query('select message_bus.publish_later($1, $2)', [`/${n % 3}`, JSON.stringify([publisher, n++])]);
      await client.query('commit');
      // For the relay to be at work all the time, but not the machine.
      await delay(Math.random() * 10);
    }
    return n;
  };
  const publishers = sessions.map(publish);
  for (let round = 0; round < 5; round++) {
    const victim = await nodes.relaying();
    await delay(Math.random() * 100);
    await nodes.kill(victim);
    nodes.start();
  }
  publishing = false;
  const counts = await Promise.all(publishers);
  await until(
    async () => (await query('select from message_bus.relay_outbox limit 1')).length === 0,
    'all are published',
  );

  const messages = await query<{ channel: string; data: [number, number] }>(
    'select channel, data from message_bus.global_backlog()',
  );
  t.equal(
    messages.length,
    counts.reduce((sum, n) => sum + n, 0),
  );
  for (const [publisher, count] of counts.entries()) {
    t.ok(count > 100);
    const its = messages.filter(({ data }) => data[0] === publisher).map(({ data }) => data[1]);
    t.strictSame(
      its.toSorted((a, b) => a - b),
      Array.from({ length: count }, (_, n) => n),
      'each once',
    );
    for (let channel = 0; channel < 3; channel++) {
      const there = its.filter((n) => n % 3 === channel);
      t.strictSame(
        there,
        there.toSorted((a, b) => a - b),
        `in order on /${channel}`,
      );
    }
  }
});

t.test('a bus relays while it listens, and as the settings say', async (t: Test) => {
  const { url, query } = await createDatabase(t);
  const bus = openBus(t, url);
  const received: unknown[] = [];
  const subscription = await bus.subscribe('/a', ({ data }) => received.push(data));
  await until(() => bus.isConnected, 'the bus listens');
  await bus.configure({ relay: true });
  await query(`select message_bus.publish_later('/a', '1')`);
  await until(() => received.length === 1, 'a node that runs already relays');
  t.match(await query('select node from message_bus.relay_state()'), [{ node: (await bus.diagnostics()).node }]);

  bus.off();
  await query(`select message_bus.publish_later('/a', '2')`);
  const second = openBus(t, url);
  await second.connect();
  await until(async () => (await query('select from message_bus.relay_outbox')).length === 0, 'another one takes over');
  await second.close();
  bus.on();
  await until(() => received.length === 2, 'it has not missed it');
  await query(`select message_bus.publish_later('/a', '3')`);
  await until(() => received.length === 3, 'and relays again');
  t.strictSame(received, [1, 2, 3]);
  await bus.configure({ relay: false });
  await query(`select message_bus.publish_later('/a', '4')`);
  t.equal(await bus.lastId('/a'), 4, 'published by its own commit');
  // @ts-expect-error on purpose
  await t.rejects(bus.configure({ relay: 'yes' }), { code: 'POSTBUS_BAD_OPTION' });
  await subscription.unsubscribe();
  t.strictSame(
    bus.log.filter(({ message }) => /relay/.test(message)),
    [],
  );
});
