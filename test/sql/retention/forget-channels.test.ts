import t from 'tap';
import { createDatabase } from '../../helpers/database.js';
import { openSession, openSessions } from '../session.js';

t.test('forget_channels() deletes channels that are idle and empty, and no others', async (t) => {
  const { url } = await createDatabase(t);
  const [session, other] = await openSessions(t, url, 2);
  if (!session || !other) throw new Error('no sessions');
  const { value, column } = session;
  await value(`select message_bus.publish('/gone', to_jsonb(i), max_backlog_age => 1) from generate_series(1, 5) i`);
  await value(`select message_bus.publish('/gone too', '1', site_id => 's', max_backlog_age => 1)`);
  await value(`select message_bus.publish('/kept', '1')`);
  t.equal(await value(`select message_bus.forget_channels('0 s')`), 0, 'all can be read');
  await value(`update message_bus.messages set expires_at = now() - interval '1 s' where expires_at is not null`);
  t.equal(await value(`select message_bus.forget_channels('1 day')`), 0, 'none is idle for a day');
  await other.client.query(`begin; select message_bus.publish('/gone', '6')`);
  t.equal(await value(`select message_bus.forget_channels('0 s')`), 1, 'one is being published to');
  await other.client.query('rollback');
  t.equal(await value(`select message_bus.forget_channels('0 s', most => 1)`), 1);
  t.equal(await value(`select message_bus.forget_channels('0 s')`), 0);
  t.strictSame(await column('select channel from message_bus.channels'), ['/kept']);
  t.strictSame(await column('select channel from message_bus.global_backlog()'), ['/kept']);
  t.equal(await value('select count(*) from message_bus.messages'), 1);
  t.strictSame(await column(`select message_bus.last_id('/gone')`), [0]);
  for (const idle of ['null', `'-1 s'`])
    await t.rejects(value(`select message_bus.forget_channels(${idle})`), { code: 'PB003' });
});

t.test('a channel that was forgotten goes on above its ids, whichever way it is published to', async (t) => {
  const { url } = await createDatabase(t);
  const { value, rows, client } = await openSession(t, url);
  const list = (...channels: string[]) =>
    `select message_bus.publish_many('${JSON.stringify(channels.map((channel) => ({ channel, data: 1 })))}')`;
  let last = 3;
  await value(list('/a', '/a', '/a'));
  const ways: [string, number][] = [
    [`select message_bus.publish('/a', '1')`, 1],
    [list('/a', '/a'), 2],
    [list('/b', '/a', '/c', '/a'), 2],
    [`select message_bus.publish_later('/a', '1')`, 1],
    [`begin; select message_bus.publish('/z', '1'); select message_bus.publish_later('/a', '1'); commit`, 1],
    [`select message_bus.publish('/a', '1', max_backlog_size => 2)`, 1],
    [`begin isolation level repeatable read; select message_bus.publish('/a', '1'); commit`, 1],
  ];
  for (const [way, count] of ways) {
    await value('select message_bus.expire_all_backlogs()');
    await value(`select message_bus.forget_channels('0 s')`);
    t.equal(await value(`select message_bus.last_id('/a')`), 0);
    await client.query(way);
    const ids = (await rows(`select message_id from message_bus.backlog('/a')`)).map(({ message_id }) => message_id);
    t.strictSame(
      ids,
      Array.from({ length: count }, (_, i) => last + i + 1),
      way,
    );
    last += count;
    t.equal(await value(`select message_bus.last_id('/a')`), last);
    await value(`select message_bus.publish('/a', '1')`);
    last++;
  }
});

t.test('an old snapshot does not give out the ids of a forgotten channel again', async (t) => {
  const { url } = await createDatabase(t);
  const [old, session] = await openSessions(t, url, 2);
  if (!old || !session) throw new Error('no sessions');
  await old.client.query('begin isolation level repeatable read; select from message_bus.channels');
  await session.value(`select message_bus.publish('/a', '1')`);
  await session.value('select message_bus.expire_all_backlogs()');
  t.equal(await session.value(`select message_bus.forget_channels('0 s')`), 1);
  await t.rejects(old.value(`select message_bus.publish('/a', '1')`), { code: '40001' });
  await old.client.query('rollback');
  t.equal(await session.value(`select message_bus.publish('/a', '1')`), 2);
});

t.test(
  'channels that are forgotten while many publish to them: no id is given out twice, none goes back',
  async (t) => {
    const { url } = await createDatabase(t);
    const sessions = await openSessions(t, url, 5);
    const [forgetter, ...writers] = sessions;
    if (!forgetter) throw new Error('no sessions');
    await forgetter.value('select message_bus.configure(max_backlog_age => 1, clear_every => 3)');
    const ids = new Map<string, number[]>();
    const note = (channel: string, id: unknown) => ids.set(channel, [...(ids.get(channel) ?? []), Number(id)]);
    let isOver = false;
    const forgetting = (async () => {
      let forgotten = 0;
      while (!isOver) {
        await forgetter.value('select message_bus.expire_all_backlogs()');
        forgotten += Number(await forgetter.value(`select message_bus.forget_channels('0 s')`));
      }
      return forgotten;
    })();
    await Promise.all(
      writers.map(async ({ value }, w) => {
        for (let i = 0; i < 60; i++) {
          const channel = `/${(i + w) % 4}`;
          if (i % 3 === 0) {
            const other = `/${(i + w + 1) % 4}`;
            const list = JSON.stringify([channel, channel, other].map((name) => ({ channel: name, data: 1 })));
            const given = await value('select message_bus.publish_many($1)', [list]);
            if (Array.isArray(given)) for (const [n, id] of given.entries()) note(n < 2 ? channel : other, id);
          } else {
            note(channel, await value(`select message_bus.publish($1, '1')`, [channel]));
          }
        }
      }),
    );
    isOver = true;
    t.ok((await forgetting) > 0, 'some were forgotten meanwhile');
    let total = 0;
    for (const [channel, given] of ids) {
      t.equal(new Set(given).size, given.length, `${channel}: each id once`);
      total += given.length;
    }
    t.equal(total, 4 * (20 * 3 + 40));
  },
);
