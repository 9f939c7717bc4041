import t from 'tap';
import { openBus } from './helpers/bus.js';
import { createDatabase } from './helpers/database.js';
import { listenAndLog } from './helpers/logging-server.js';
import { poll } from './helpers/server.js';
import { until } from './helpers/until.js';

// Whoever is woken at night finds a line for each trouble, with its code, whatever the number of clients.

t.test('connections that break', async (t) => {
  const { url: database, query } = await createDatabase(t);
  const bus = openBus(t, database);
  await bus.subscribe('/a', () => {});
  const backends = `from pg_stat_activity where application_name like 'postbus%' and datname = current_database()`;
  await until(async () => {
    await Promise.all([...Array(5)].map(() => bus.globalBacklog()));
    const [{ count = 0 } = {}] = await query(`select count(*)::int ${backends}`);
    return count > 3;
  }, 'the bus has several connections');
  await query(`select pg_terminate_backend(pid) ${backends}`);
  await until(() => bus.log.length > 1 && bus.isConnected, 'it is over');
  const lost = { err: { code: 'POSTBUS_CONNECTION_LOST', statusCode: 503 } };
  t.match(
    bus.log.sort((a, b) => a.message.localeCompare(b.message)),
    [
      { message: 'idle database connections broke; the pool replaces them', details: { ...lost, count: 1 } },
      { message: 'not listening to Postgres; trying again', details: lost },
    ],
  );
  t.equal(bus.log.length, 2);
  t.notMatch(JSON.stringify(bus.log), /secretKey/, 'nothing of the connection');
});

t.test('a database that fails every poll', async (t) => {
  const { url: database, query } = await createDatabase(t);
  const { url, logged } = await listenAndLog(t, { bus: openBus(t, database) });
  await query('alter function message_bus.read_channels rename to hidden');
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => poll(url, { [`/${i}`]: 0 }, { client: `${i}`, dlp: true })),
  );
  t.ok(answers.every(({ status }) => status === 503));
  t.match(logged, [{ msg: 'a poll failed', err: { code: 'POSTBUS_NO_SCHEMA' }, count: 1 }]);
  t.equal(logged.length, 1);
});
