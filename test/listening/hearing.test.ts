import t from 'tap';
import { createBus } from '../../src/index.js';
import { eventsOf, openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { startDeafProxy } from '../helpers/deaf-proxy.js';
import { until } from '../helpers/until.js';

t.test('a connection on which notifications take their time is no pooler', async (t) => {
  const database = await createDatabase(t);
  const slow = await startDeafProxy(t, database.url);
  slow.wait = 1_500;
  const bus = openBus(t, database.url, { listenConnectionString: slow.url });
  const told = eventsOf(bus);
  await bus.connect();
  await until(() => bus.isConnected, 'the first one has come');
  t.strictSame(told, ['connected']);
  t.strictSame(bus.log, []);
});

t.test('a connection that listens in another database is found out', async (t) => {
  const [database, other] = [await createDatabase(t), await createDatabase(t)];
  const bus = openBus(t, database.url, { listenConnectionString: other.url });
  await bus.connect();
  await until(() => bus.log.length > 0, 'it finds out');
  t.match(bus.log, [{ details: { err: { code: 'POSTBUS_POOLER', message: /leads to another database/ } } }]);
});

t.test('an outage that turns out to be a pooler is told as that', async (t) => {
  const database = await createDatabase(t);
  const deaf = await startDeafProxy(t, database.url);
  deaf.isDeaf = true;
  await database.query('alter function message_bus.node_state rename to hidden');
  const bus = openBus(t, deaf.url);
  const told = eventsOf(bus);
  await t.rejects(bus.connect(), { code: 'POSTBUS_NO_SCHEMA' });
  await until(() => bus.log.length === 1, 'it cannot listen');
  await database.query('alter function message_bus.hidden rename to node_state');
  await until(() => bus.log.length === 2, 'it finds out');
  t.match(bus.log, [
    { details: { err: { code: 'POSTBUS_NO_SCHEMA' } } },
    { details: { err: { code: 'POSTBUS_POOLER' } } },
  ]);
  t.strictSame(told, ['POSTBUS_NO_SCHEMA'], 'one outage');
  deaf.isDeaf = false;
  await until(() => bus.isConnected, 'it hears');
  t.equal(bus.outage, undefined);
  t.equal(told.at(-1), 'connected');
});

t.test('an address to listen on that makes no sense', async (t) => {
  for (const listenConnectionString of ['', 'postgres://[', 'x://%'])
    t.throws(() => createBus({ listenConnectionString }), {
      code: 'POSTBUS_BAD_OPTION',
      message: /^listenConnectionString: must be a URL/,
    });
});
