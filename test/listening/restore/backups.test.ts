import t from 'tap';
import { Backup, type Way } from '../../helpers/backup.js';
import { createDatabase } from '../../helpers/database.js';
import { until } from '../../helpers/until.js';
import { isGap, publish, startReaders, texts } from './readers.js';

const ways: Way[] = [
  'the schema is dropped and restored',
  'tables are truncated and filled',
  'rows are deleted and filled',
];

for (const way of ways) {
  t.test(`a backup is restored under running nodes (${way}): all are told, and go on`, async (t) => {
    const database = await createDatabase(t);
    const backup = new Backup(database);
    const readers = await startReaders(t, database);
    const { bus, cache, told } = readers;
    await cache.set('key', 'before');
    await publish(database, '/a', 'kept', 10);
    await backup.take();
    await cache.set('key', 'undone');
    await publish(database, '/a', 'undone', 10);
    await readers.untilAllHave('undone 10');
    told.length = 0;

    await backup.restore(way);
    await publish(database, '/a', 'new', 5);
    await readers.untilAllHave('new 5');
    for (const list of readers.messages()) {
      t.strictSame(list, [...texts('kept', 10), ...texts('undone', 10), ...texts('new', 5)]);
    }
    t.strictSame(readers.own.filter(isGap), [{ channel: '/a', after: 20, firstId: 11 }]);
    t.match(readers.all.filter(isGap), [{ channel: null, after: 22, firstId: 12 }]);
    await until(() => bus.isConnected, 'it is connected');
    t.equal(told.at(-1), 'connected');
    t.ok(told.length > 1, 'and were lost in between');
    t.equal(readers.warnings().length, 1, 'the log says it once');
    t.equal(cache.get('key'), undefined, 'the cache knows nothing');
    await cache.set('key', 'after');
    t.equal(cache.get('key'), 'after');
    await publish(database, '/a', 'later', 1);
    await readers.untilAllHave('later 1');
  });
}

t.test('a backup is restored, and ids have overtaken those of before in the same moment', async (t) => {
  const database = await createDatabase(t);
  const backup = new Backup(database);
  const readers = await startReaders(t, database);
  await publish(database, '/a', 'kept', 10);
  await backup.take();
  await publish(database, '/a', 'undone', 10);
  await readers.untilAllHave('undone 10');
  await backup.restore(
    'tables are truncated and filled',
    `select message_bus.publish('/a', to_jsonb('new ' || i)) from generate_series(1, 30) i`,
  );
  await readers.untilAllHave('new 30');
  for (const list of readers.messages()) {
    t.strictSame(list, [...texts('kept', 10), ...texts('undone', 10), ...texts('new', 30)]);
  }
  t.strictSame(readers.own.filter(isGap), [{ channel: '/a', after: 20, firstId: 11 }]);
});

t.test('the same backup again, when nothing was published since: nobody is told of anything', async (t) => {
  const database = await createDatabase(t);
  const backup = new Backup(database);
  const readers = await startReaders(t, database);
  await publish(database, '/a', 'kept', 10);
  await readers.untilAllHave('kept 10');
  await backup.take();
  await backup.restore('rows are deleted and filled');
  await publish(database, '/a', 'new', 5);
  await readers.untilAllHave('new 5');
  t.strictSame(readers.own, [...texts('kept', 10), ...texts('new', 5)]);
});

t.test(
  'a backup is restored, after the node has looked in vain for what it may have missed: who has missed nothing is told of nothing',
  async (t) => {
    const database = await createDatabase(t);
    const backup = new Backup(database);
    await publish(database, '/quiet', 'quiet', 3);
    const readers = await startReaders(t, database);
    const quiet: unknown[] = [];
    const empty: unknown[] = [];
    await readers.bus.subscribe('/empty', () => {}, { lastId: 0, onGap: (gap) => empty.push(gap) });
    await readers.bus.subscribe('/quiet', ({ data }) => quiet.push(data), {
      lastId: 0,
      onGap: (gap) => quiet.push(gap),
    });
    await publish(database, '/a', 'kept', 10);
    await readers.untilAllHave('kept 10');
    await backup.take();
    await readers.bus.off();
    await readers.bus.on();
    await until(() => readers.bus.isConnected, 'it listens again');
    for (const round of [1, 2]) {
      await publish(database, '/a', `undone ${round}`, 10);
      await readers.untilAllHave(`undone ${round} 10`);
      await backup.restore('the schema is dropped and restored');
      await publish(database, '/a', `new ${round}`, 5);
      await readers.untilAllHave(`new ${round} 5`);
      await until(() => readers.bus.isConnected, 'all have been told');
    }
    await publish(database, '/quiet', 'later', 1);
    await until(() => quiet.includes('later 1'), 'what is new comes');
    t.strictSame(quiet, [...texts('quiet', 3), 'later 1']);
    t.strictSame(empty, [], 'nor who waits in a channel without messages');
  },
);

t.test(
  'a backup with more than was published since the one before: what it brings back does not come again',
  async (t) => {
    const database = await createDatabase(t);
    const [shorter, longer] = [new Backup(database, 'shorter'), new Backup(database, 'longer')];
    const readers = await startReaders(t, database);
    await publish(database, '/a', 'kept', 10);
    await shorter.take();
    await publish(database, '/a', 'undone', 10);
    await readers.untilAllHave('undone 10');
    await longer.take();
    await shorter.restore('the schema is dropped and restored');
    await publish(database, '/a', 'middle', 3);
    await readers.untilAllHave('middle 3');
    await until(() => readers.bus.isConnected, 'all have been told');
    await longer.restore(
      'the schema is dropped and restored',
      `select message_bus.publish('/a', to_jsonb('new ' || i)) from generate_series(1, 5) i`,
    );
    await readers.untilAllHave('new 5');
    for (const list of readers.messages()) {
      t.strictSame(list, [...texts('kept', 10), ...texts('undone', 10), ...texts('middle', 3), ...texts('new', 5)]);
    }
    t.strictSame(readers.own.filter(isGap), [
      { channel: '/a', after: 20, firstId: 11 },
      { channel: '/a', after: 13, firstId: 21 },
    ]);
  },
);
