import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { until } from '../../helpers/until.js';
import { globalIds, publishList, upTo } from '../order/global-ids.js';
import { openSession } from '../session.js';

const conflict = { code: '40001' };

for (const level of ['repeatable read', 'serializable']) {
  t.test(`${level}: publishing fails where the bus has moved on, leaves nothing, and can be tried again`, async (t) => {
    const { url } = await createDatabase(t);
    const own = await openSession(t, url);
    const other = await openSession(t, url);
    await other.value(`select message_bus.publish('/a', '"before"')`);

    // As long as nobody else publishes, it is like any other.
    await own.client.query(`begin isolation level ${level}`);
    t.equal(await own.value(`select message_bus.publish('/a', '"alone"')`), 2);
    await own.client.query('commit');

    await own.client.query(`begin isolation level ${level}`);
    await own.value('select 1 from pg_class limit 1');
    await other.value(`select message_bus.publish('/a', '"meanwhile"')`);
    await t.rejects(own.value(`select message_bus.publish('/a', '"late"')`), conflict, 'to the same channel at once');
    await own.client.query('rollback');

    await own.client.query(`begin isolation level ${level}`);
    t.equal(await own.value(`select message_bus.publish('/b', '"late"')`), 1);
    await other.value(`select message_bus.publish('/a', '"meanwhile"')`);
    await t.rejects(own.client.query('commit'), conflict, 'to another channel at commit');

    await own.client.query(`begin isolation level ${level}`);
    t.equal(await own.value(`select message_bus.publish('/b', '"again"')`), 1);
    await own.client.query('commit');
    t.strictSame(await other.column('select data from message_bus.global_backlog()'), [
      'before',
      'alone',
      'meanwhile',
      'meanwhile',
      'again',
    ]);
  });
}

t.test('repeatable read: who fails for what was published meanwhile leaves the global ids to the others', async (t) => {
  const { url } = await createDatabase(t);
  const own = await openSession(t, url);
  const other = await openSession(t, url);
  let last = 0;
  for (const { before, meanwhile } of [
    { before: 10, meanwhile: 30 },
    { before: 6, meanwhile: 1 },
    { before: 15, meanwhile: 2 },
    { before: 1, meanwhile: 16 },
    { before: 1, meanwhile: 3_000 },
  ]) {
    await publishList(other, before);
    await own.client.query('begin isolation level repeatable read');
    await own.value(`select message_bus.publish('/own', '0')`);
    await publishList(other, meanwhile);
    await t.rejects(own.client.query('commit'), conflict);
    await other.value(`select message_bus.publish('/single', '0')`);
    last += before + meanwhile + 1;
    t.strictSame(await globalIds(other), upTo(last, 2_000));
  }
});

t.test('repeatable read: no global id comes again for what was published and dropped meanwhile', async (t) => {
  const { url } = await createDatabase(t);
  const own = await openSession(t, url);
  const other = await openSession(t, url);
  await publishList(other, 15);
  await own.client.query('begin isolation level repeatable read');
  await own.value(`select message_bus.publish('/own', '0')`);
  await publishList(other, 5);
  await other.value('select message_bus.expire_all_backlogs()');
  await t.rejects(own.client.query('commit'), conflict);
  await other.value(`select message_bus.publish('/single', '0')`);
  t.strictSame(await globalIds(other), [21]);
});

t.test('repeatable read: the window gets another size with all that is in it, or none', async (t) => {
  const { url } = await createDatabase(t);
  const own = await openSession(t, url);
  const other = await openSession(t, url);
  await publishList(other, 15 + 4 * 16);
  const resize = 'select message_bus.configure(max_global_backlog_size => 20)';
  await own.client.query('begin isolation level repeatable read');
  await own.value('select 1 from pg_class limit 1');
  await publishList(other, 1);
  await t.rejects(own.value(resize), conflict);
  await own.client.query('rollback');
  await own.client.query('begin isolation level repeatable read');
  await own.value(resize);
  await own.client.query('commit');
  await other.value(`select message_bus.publish('/single', '0')`);
  t.strictSame(await globalIds(other), upTo(81, 20));
});

t.test('repeatable read: a reader keeps to what it first saw', async (t) => {
  const { url } = await createDatabase(t);
  const reader = await openSession(t, url);
  const other = await openSession(t, url);
  await other.value(`select message_bus.publish('/a', '1')`);
  await reader.client.query('begin isolation level repeatable read read only');
  t.equal(await reader.value(`select message_bus.last_id('/a')`), 1);
  await other.value(`select message_bus.publish('/a', '2', max_backlog_size => 1)`);
  t.strictSame(await reader.column(`select message_id from message_bus.backlog('/a')`), [1]);
  t.equal(await reader.value(`select message_bus.last_id('/a')`), 1);
  await t.rejects(reader.value(`select message_bus.publish('/a', '3')`), { code: '25006' }, 'and cannot publish');
  await reader.client.query('rollback');
  t.strictSame(await reader.column(`select message_id from message_bus.backlog('/a')`), [2]);
});

t.test('set constraints all immediate: global ids come at once, and lock the bus until the end', async (t) => {
  const database = await createDatabase(t);
  const own = await openSession(t, database.url);
  const other = await openSession(t, database.url);
  await own.client.query('begin');
  t.equal(await own.value(`select message_bus.publish('/a', '"deferred"', max_backlog_size => 1)`), 1);
  await own.client.query('set constraints all immediate');
  t.equal(await own.value(`select message_bus.publish('/a', '"at once"', max_backlog_size => 2)`), 2);
  t.strictSame(await own.rows('select global_id, data from message_bus.global_backlog()'), [
    { global_id: 1, data: 'deferred' },
    { global_id: 2, data: 'at once' },
  ]);
  await other.client.query(`set lock_timeout = '100ms'`);
  await t.rejects(other.value(`select message_bus.publish('/b', '0')`), { code: '55P03' });
  await own.client.query('commit');
  t.equal(await other.value(`select message_bus.publish('/b', '0')`), 1);
  t.strictSame(await other.column('select global_id from message_bus.global_backlog()'), [1, 2, 3]);
});

t.test(
  'where triggers are off for replication, messages get their global ids and wake the nodes nevertheless',
  async (t) => {
    const { url } = await createDatabase(t);
    const bus = openBus(t, url);
    const received: unknown[] = [];
    await bus.subscribe('/a', ({ globalId, data }) => received.push({ globalId, data }));
    await until(() => bus.isConnected, 'the bus listens');
    const { client, value } = await openSession(t, url);
    await client.query('set session_replication_role = replica');
    t.equal(await value(`select message_bus.publish('/a', '"hello"')`), 1);
    await until(() => received.length > 0, 'the message arrives');
    t.strictSame(received, [{ globalId: 1, data: 'hello' }]);
  },
);

t.test('a transaction that has published cannot be prepared for two-phase commit', async (t) => {
  const { url } = await createDatabase(t);
  const { client, value } = await openSession(t, url);
  for (const publish of [`publish('/a', '0')`, `publish_many('[{"channel": "/a", "data": 0}]')`]) {
    await client.query('begin');
    await value(`select message_bus.${publish}`);
    await t.rejects(client.query(`prepare transaction 'two phases'`), { code: '0A000', message: /NOTIFY/ });
    await client.query('rollback');
    t.equal(await value(`select message_bus.last_id('/a')`), 0);
  }
});
