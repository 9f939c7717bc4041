import t from 'tap';
import { createDatabase } from '../helpers/database.js';
import { openSession } from './session.js';

const publish = (channel: string) => `select message_bus.publish('${channel}', '0')`;

for (const level of ['repeatable read', 'serializable']) {
  t.test(`${level}: publishing works alone, and fails where others publish`, async (t) => {
    const { url } = await createDatabase(t);
    const [own, other] = [await openSession(t, url), await openSession(t, url)];
    const begin = () => own.client.query(`begin isolation level ${level}`);
    await begin();
    t.equal(await own.value(publish('/a')), 1);
    t.strictSame(await own.value(`select message_bus.publish_many('[{"channel": "/b", "data": 0}]')`), [1]);
    await own.client.query('commit');

    // The snapshot is taken by the first statement.
    await begin();
    t.equal(await own.value(`select message_bus.last_id('/a')`), 1);
    await other.value(publish('/a'));
    t.equal(await own.value(`select message_bus.last_id('/a')`), 1, 'reads stay at the beginning');
    t.equal(await own.value('select count(*) from message_bus.global_backlog()'), 2);
    await t.rejects(own.value(publish('/a')), { code: '40001' }, 'in the same channel');
    await own.client.query('rollback');

    await begin();
    t.equal(await own.value(publish('/a')), 3);
    await other.value(publish('/b'));
    await t.rejects(own.client.query('commit'), { code: '40001' }, 'at the commit, for another channel');

    await begin();
    await own.value('select 1');
    await other.value(publish('/new'));
    await t.rejects(own.value(`select message_bus.publish_many('[{"channel": "/c", "data": 0}]')`), { code: '40001' });
    await own.client.query('rollback');
    t.strictSame(
      await other.rows('select global_id, channel, message_id from message_bus.global_backlog() order by global_id'),
      ['/a 1', '/b 1', '/a 2', '/b 2', '/new 1'].map((each, i) => {
        const [channel, id] = each.split(' ');
        return { global_id: i + 1, channel, message_id: Number(id) };
      }),
      'nothing of what failed stays',
    );
  });
}

t.test('a transaction that has published cannot be prepared, and is undone', async (t) => {
  const { url } = await createDatabase(t);
  const { client, value } = await openSession(t, url);
  for (const call of [publish('/a'), `select message_bus.publish_many('[{"channel": "/a", "data": 0}]')`]) {
    await client.query('begin');
    await value(call);
    await t.rejects(client.query(`prepare transaction 'it'`), { code: '0A000' });
    await client.query('rollback');
  }
  t.equal(await value(publish('/a')), 1);
});
