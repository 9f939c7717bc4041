import t from 'tap';
import { eventsOf, openBus } from '../helpers/bus.js';
import { startServer } from '../helpers/command.js';
import { createDatabase } from '../helpers/database.js';
import { startPgbouncer, withoutPgbouncer } from '../helpers/pgbouncer.js';
import { until } from '../helpers/until.js';

const skip = withoutPgbouncer;
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

for (const size of [1, 3])
  t.test(`a node that listens through a pooler in transaction mode, of ${size}, is told`, { skip }, async (t) => {
    const database = await createDatabase(t);
    const pooled = await startPgbouncer(t, database.url, { mode: 'transaction', size });
    const bus = openBus(t, pooled);
    const told = eventsOf(bus);
    const received: unknown[] = [];
    await bus.subscribe('/a', ({ data }) => received.push(data));
    await until(() => told.length > 0, 'it finds out');
    t.strictSame(told, ['POSTBUS_POOLER']);
    const line = {
      message: 'not listening to Postgres; trying again',
      details: { err: { message: /LISTEN_DATABASE_URL/ } },
    };
    t.match(bus.log, [line]);

    // It serves what it can, and is no louder.
    for (const i of numbers(3)) await bus.publish('/a', i);
    await until(() => received.length === 3, 'messages come all the same');
    t.strictSame(received, numbers(3));
    t.notOk(bus.isConnected);
    t.match(bus.outage, { code: 'POSTBUS_POOLER', statusCode: 503 });
    t.equal(bus.log.length, 1);
    t.strictSame(told, ['POSTBUS_POOLER']);
  });

t.test('the server says so at its start and to who asks whether it is ready', { skip }, async (t) => {
  const database = await createDatabase(t);
  const pooled = await startPgbouncer(t, database.url, { mode: 'transaction', size: 3 });
  const misled = await startServer(t, ['--database-url', pooled]);
  t.match(misled.stderr(), /POSTBUS_POOLER/, 'before it prints its address');
  t.match(misled.stderr(), /LISTEN_DATABASE_URL/);
  const answer = await fetch(`${misled.url}/health/ready`);
  t.equal(answer.status, 503);
  t.match(await answer.json(), { statusCode: 503, code: 'POSTBUS_POOLER', message: /LISTEN_DATABASE_URL/ });
  t.equal((await fetch(`${misled.url}/health/live`)).status, 200);

  const server = await startServer(t, [], { env: { DATABASE_URL: pooled, LISTEN_DATABASE_URL: database.url } });
  const { status } = await fetch(`${server.url}/health/ready`);
  t.equal(status, 200);
  t.equal(server.stderr(), '');
});

t.test('a pooler in session mode is no obstacle', { skip }, async (t) => {
  const database = await createDatabase(t);
  const pooled = await startPgbouncer(t, database.url, { mode: 'session', size: 20 });
  const bus = openBus(t, pooled);
  const told = eventsOf(bus);
  const received: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  // Postgres ends connections under whatever the bus is about to find out.
  for (let round = 0; round < 3; round++) {
    await until(() => bus.isConnected, 'it listens');
    await database.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()',
    );
    await until(() => !bus.isConnected, 'it notices');
  }
  await until(() => bus.isConnected, 'it listens');
  await database.query(`select message_bus.publish('/a', '"from elsewhere"')`);
  await until(() => received.length === 1, 'it hears');
  t.notMatch(told.join(), 'POSTBUS_POOLER');
  t.equal(bus.outage, undefined);
});
