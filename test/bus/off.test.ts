import { once } from 'node:events';
import pg from 'pg';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const noDatabase = 'postgres://nobody@127.0.0.1:1/none';

async function open(t: Test) {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const listeners = async () =>
    (
      await database.query(
        `select from pg_stat_activity where application_name = 'postbus listener' and datname = current_database()`,
      )
    ).length;
  return { database, bus, listeners };
}

t.test('a bus that is off before it is used leaves the database alone', async (t) => {
  const bus = openBus(t, noDatabase);
  bus.off();
  t.equal(bus.isOff, true);
  t.equal(await bus.publish('/a', 1), 0);
  await t.rejects(bus.publish('__a', 1), { code: 'POSTBUS_BAD_CHANNEL' }, 'mistakes are mistakes all the same');
  const subscription = await bus.subscribe('/a', () => {}, { lastId: 0 });
  await bus.connect();
  const { url } = await listen(t, { bus });
  const { status, text } = await poll(url, { '/a': 0 });
  t.equal(status, 503);
  t.match(JSON.parse(text), { code: 'POSTBUS_OFF' });
  await subscription.unsubscribe();
  t.strictSame(bus.log, []);
  await t.rejects(bus.backlog('/a'), { code: 'POSTBUS_NO_SERVER' }, 'what asks for the database asks it');
});

t.test('off: nothing is published or received; on: what was missed comes', async (t) => {
  const { database, bus, listeners } = await open(t);
  const [early, late, fromNow]: [unknown[], unknown[], unknown[]] = [[], [], []];
  await bus.subscribe('/a', ({ data }) => early.push(data));
  await until(() => bus.isConnected, 'it listens');
  await bus.publish('/a', 'before');
  await until(() => early.length === 1, 'it came');

  const told: unknown[] = [];
  bus.events.on('connected', () => told.push('connected'));
  bus.events.on('disconnected', (error) => told.push(error));
  bus.off();
  t.equal(bus.isConnected, false);
  t.match(told, [{ code: 'POSTBUS_OFF' }]);
  await until(async () => (await listeners()) === 0, 'it has let go of its listener');
  t.equal(await bus.publish('/a', 'not published'), 0);
  await database.query(`select message_bus.publish('/a', '"by another"')`);
  await bus.subscribe('/a', ({ data }) => late.push(data), { lastId: 0 });
  await bus.subscribe('/a', ({ data }) => fromNow.push(data));
  t.strictSame(
    (await bus.backlog('/a')).map(({ data }) => data),
    ['before', 'by another'],
  );
  t.strictSame([early, late, fromNow], [['before'], [], []]);

  bus.on();
  t.equal(bus.isOff, false);
  await until(() => bus.isConnected && early.length === 2 && late.length === 2, 'what was missed came');
  let count = 0;
  await until(async () => {
    t.equal(await bus.publish('/a', `after ${count}`), 3 + count++);
    return fromNow.length > 0;
  }, 'that from now on has begun, too');
  const after = Array.from({ length: count }, (_, i) => `after ${i}`);
  await until(() => [early, late, fromNow].every((list) => list.at(-1) === after.at(-1)), 'all came');
  t.strictSame(early, ['before', 'by another', ...after]);
  t.strictSame(late, ['before', 'by another', ...after]);
  const later = fromNow.filter((data) => data !== 'by another');
  t.strictSame(later, after.slice(-later.length));
  t.equal(told.at(-1), 'connected');
  t.strictSame(bus.log, [], 'that is no fault');
});

t.test('off for receiving alone', async (t) => {
  const { bus, listeners } = await open(t);
  const received: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  await until(() => bus.isConnected, 'it listens');
  bus.off({ disablePublish: false });
  t.equal(await bus.publish('/a', 1), 1);
  bus.off();
  t.equal(await bus.publish('/a', 2), 0, 'the last call counts');
  bus.off({ disablePublish: false });
  t.equal(await bus.publish('/a', 3), 2);
  await until(async () => (await listeners()) === 0, 'it does not listen');
  t.strictSame(received, []);
  bus.on();
  await until(() => received.length === 2, 'they came');
  t.strictSame(received, [1, 3]);
});

t.test('polls: those that wait get what they missed, once the bus is on again', async (t) => {
  const { database, bus } = await open(t);
  const { url } = await listen(t, { bus });
  await until(() => bus.isConnected, 'it listens');
  const parked = poll(url, { '/a': 0 });
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 1, 'it waits');
  bus.off();
  await database.query(`select message_bus.publish('/a', '1')`);
  t.equal((await poll(url, { '/a': 0 }, { client: 'other' })).status, 503);
  bus.on();
  t.match((await parked).messages, [{ message_id: 1, data: 1 }]);
  t.match((await poll(url, { '/a': 0 }, { client: 'other' })).messages, [{ message_id: 1 }]);
});

t.test('off and on again and again, nothing is lost or doubled', async (t) => {
  const { database, bus, listeners } = await open(t);
  const other = openBus(t, database.url);
  await other.connect();
  await until(() => other.isConnected, 'the other one listens');
  const received: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  let count = 0;
  for (let round = 0; round < 20; round++) {
    bus.off({ disablePublish: false });
    if (round % 2) await bus.publish('/a', ++count);
    bus.on();
    if (round % 5 === 0) await once(bus.events, 'connected');
    await bus.publish('/a', ++count);
  }
  await until(() => received.length >= count && bus.isConnected, 'all came');
  t.strictSame(
    received,
    Array.from({ length: count }, (_, i) => i + 1),
  );
  await until(async () => (await listeners()) === 2, 'one listener each is left');
  t.ok(other.isConnected, 'other buses go on');
});

t.test('closed while it is off, or just turned off', async (t) => {
  const { bus, listeners } = await open(t);
  await bus.subscribe('/a', () => {});
  await until(() => bus.isConnected, 'it listens');
  bus.off();
  await bus.close();
  // A loaded machine may need longer to end a backend than a bus waits for it.
  await until(async () => (await listeners()) === 0, 'no listener is left');
});

t.test('closing one bus leaves others alone, also on the same pool', async (t) => {
  const { database, bus: other } = await open(t);
  const pool = new pg.Pool({ connectionString: database.url });
  t.teardown(() => pool.end());
  const closing = openBus(t, '', { pool });
  const sharing = openBus(t, '', { pool });
  const received: unknown[] = [];
  for (const bus of [closing, sharing, other]) await bus.subscribe('/a', ({ data }) => received.push(data));
  await until(() => [closing, sharing, other].every((bus) => bus.isConnected), 'all listen');
  await closing.close();
  t.equal(await sharing.publish('/a', 1), 1);
  t.equal(await other.publish('/a', 2), 2);
  await until(() => received.length === 4, 'both have both');
  t.ok(sharing.isConnected && other.isConnected);
  t.strictSame([...sharing.log, ...other.log], []);
});
