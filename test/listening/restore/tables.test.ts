import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { until } from '../../helpers/until.js';
import { isGap, publish, startReaders, texts } from './readers.js';

/** What may happen to the tables; the bus works on afterwards. */
const harmless: [string, boolean][] = [
  ['truncate message_bus.messages', true],
  ['truncate message_bus.channels restart identity', true],
  ['truncate message_bus.global_ring', true],
  ['truncate message_bus.messages, message_bus.global_ring, message_bus.channels', true],
  [`set session_replication_role = replica; truncate message_bus.channels; reset session_replication_role`, true],
  ['truncate message_bus.outbox, message_bus.relay_outbox, message_bus.refusals, message_bus.turn', false],
  ['delete from message_bus.channels', true],
  [`delete from message_bus.channels where channel = '/a'`, true],
  [`delete from message_bus.channels where channel = '/other'`, true],
  ['vacuum full message_bus.channels, message_bus.incarnation', false],
];

for (const [statement, isBreak] of harmless) {
  t.test(`${statement}: readers get what is published next, once, and no global id twice`, async (t) => {
    const database = await createDatabase(t);
    const readers = await startReaders(t, database);
    await publish(database, '/other', 'other', 3);
    await publish(database, '/a', 'old', 10);
    await readers.untilAllHave('old 10');
    const globalIds: number[] = [];
    await readers.bus.subscribe(null, ({ globalId }) => globalIds.push(globalId));
    await database.query(statement);
    await publish(database, '/a', 'new', 20);
    await readers.untilAllHave('new 20');
    await until(() => readers.bus.isConnected, 'it is connected');
    const [own, all, ...clients] = readers.messages();
    for (const list of [own, ...clients]) t.strictSame(list, [...texts('old', 10), ...texts('new', 20)]);
    t.strictSame(all, [...texts('other', 3), ...texts('old', 10), ...texts('new', 20)]);
    t.equal(readers.warnings().length, isBreak ? 1 : 0);
    await until(() => globalIds.length >= 20, 'all came');
    t.strictSame(
      globalIds,
      Array.from({ length: 20 }, (_, i) => 14 + i),
    );
    if (statement.includes(`'/other'`))
      t.strictSame(readers.own.filter(isGap), [], 'of a channel that stays, nothing is missed');
  });
}

for (const table of ['settings', 'bus', 'sweep', 'relaying', 'incarnation']) {
  t.test(`truncate ${table}: the node says that it is not ready, and is again after migrate`, async (t) => {
    const database = await createDatabase(t);
    const readers = await startReaders(t, database);
    const { bus } = readers;
    await publish(database, '/a', 'old', 10);
    await readers.untilAllHave('old 10');
    const [before] = await database.query('select * from message_bus.bus');
    await database.query(`truncate message_bus.${table}`);
    await until(() => !bus.isConnected, 'it notices');
    t.match(bus.outage, { code: 'POSTBUS_NO_SCHEMA', message: /postbus migrate/ });
    await openBus(t, database.url).migrate();
    await until(() => bus.isConnected, 'it is back');
    t.strictSame(await database.query('select * from message_bus.bus'), [before]);
    await publish(database, '/a', 'new', 5);
    await readers.untilAllHave('new 5');
    for (const list of readers.messages()) t.strictSame(list, [...texts('old', 10), ...texts('new', 5)]);
    const [last] = await database.query('select max(global_id)::int as id from message_bus.global_backlog()');
    t.equal(last?.id, 15);
  });
}

t.test('the schema is dropped: the node says so; migrated anew, all go on from its first message', async (t) => {
  const database = await createDatabase(t);
  const readers = await startReaders(t, database);
  const { bus } = readers;
  await publish(database, '/a', 'old', 10);
  await readers.untilAllHave('old 10');
  await database.query('drop schema message_bus cascade');
  await until(() => !bus.isConnected, 'it notices');
  t.match(bus.outage, { code: 'POSTBUS_NO_SCHEMA' });
  await openBus(t, database.url).migrate();
  await publish(database, '/a', 'new', 5);
  await readers.untilAllHave('new 5');
  for (const list of readers.messages()) t.strictSame(list, [...texts('old', 10), ...texts('new', 5)]);
  t.strictSame(readers.own.filter(isGap), [{ channel: '/a', after: 10, firstId: 1 }]);
});

t.test('another bus takes the place of this one, by two renames: all are told, and hear it', async (t) => {
  const database = await createDatabase(t);
  const readers = await startReaders(t, database);
  await publish(database, '/a', 'old', 10);
  await readers.untilAllHave('old 10');
  await database.query('alter schema message_bus rename to former');
  await until(() => !readers.bus.isConnected, 'it notices');
  await openBus(t, database.url).migrate();
  await publish(database, '/a', 'another', 5);
  await readers.untilAllHave('another 5');
  await until(() => readers.bus.isConnected, 'it is back');
  // What is caught up with has been read by then: a read that is under way would find the other bus.
  await publish(database, '/a', 'read', 1);
  await readers.untilAllHave('read 1');
  // Both are there now, and change places in one transaction.
  await database.query(
    'begin; alter schema message_bus rename to latter; alter schema former rename to message_bus; commit',
  );
  await until(() => readers.warnings().length === 2, 'it notices');
  await until(() => readers.bus.isConnected, 'it is back');
  await publish(database, '/a', 'first again', 5);
  await readers.untilAllHave('first again 5');
  const expected = [...texts('old', 10), ...texts('another', 5), 'read 1', ...texts('first again', 5)];
  for (const list of readers.messages()) t.strictSame(list, expected);
});
