import pg from 'pg';
import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { createGrantee } from '../../helpers/role.js';
import { until } from '../../helpers/until.js';
import { openSession, type Session } from '../session.js';

const later = (channel: string, data: string) => `select message_bus.publish_later('${channel}', '${data}')`;

/** The bus as others see it. */
function published({ rows }: Session): Promise<Record<string, unknown>[]> {
  return rows('select global_id, channel, message_id, data from message_bus.global_backlog()');
}

t.test('what is put down is published at commit, in its order, with all that it came with', async (t) => {
  const { url, query } = await createDatabase(t);
  const own = await openSession(t, url);
  const other = await openSession(t, url);
  const bus = openBus(t, url);
  const received: unknown[] = [];
  await bus.subscribe(null, ({ globalId, channel, data }) => received.push([globalId, channel, data]));
  await until(() => bus.isConnected, 'the bus listens');

  await own.client.query('begin');
  t.equal(await own.value(later('/b', '1')), '');
  await own.value(later('/a', '2'));
  await own.value(later('/b', '3'));
  await own.value(
    `select message_bus.publish_later('/c', null, user_ids => '{u}', group_ids => '{g}', client_ids => '{c}', site_id => 's', max_backlog_size => 5, max_backlog_age => 60)`,
  );
  t.strictSame(await published(own), [], 'not before the commit, not even for itself');
  t.strictSame(await published(other), []);
  await own.client.query('commit');
  t.strictSame(await published(other), [
    { global_id: 1, channel: '/b', message_id: 1, data: 1 },
    { global_id: 2, channel: '/a', message_id: 1, data: 2 },
    { global_id: 3, channel: '/b', message_id: 2, data: 3 },
    { global_id: 4, channel: '/c', message_id: 1, data: null },
  ]);
  t.strictSame(
    await other.rows(
      `select b.user_ids, b.group_ids, b.client_ids, b.site_id from message_bus.backlog('/c', 0, 's') b`,
    ),
    [{ user_ids: ['u'], group_ids: ['g'], client_ids: ['c'], site_id: 's' }],
  );
  t.match(
    await query(
      `select max_backlog_size, expires_at - published_at = interval '60 s' as age from message_bus.channels c, message_bus.messages m where m.channel_id = c.id and c.channel = '/c'`,
    ),
    [{ max_backlog_size: 5, age: true }],
  );
  await until(() => received.length === 4, 'a node is woken');
  t.strictSame(received, [
    [1, '/b', 1],
    [2, '/a', 2],
    [3, '/b', 3],
    [4, '/c', null],
  ]);

  // A message alone goes another way.
  await own.value(
    `select message_bus.publish_later('/c', '"alone"', user_ids => '{u}', site_id => 's', max_backlog_size => 1)`,
  );
  t.strictSame(await other.rows(`select b.message_id, b.data, b.user_ids from message_bus.backlog('/c', 0, 's') b`), [
    { message_id: 2, data: 'alone', user_ids: ['u'] },
  ]);
  t.strictSame(await query('select from message_bus.outbox'), [], 'nothing is left behind');
});

t.test('arguments are checked at the call, with the errors of publish', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  const refusals: [args: string, code: string][] = [
    [`'__a', '1'`, 'PB001'],
    [`null, '1'`, 'PB001'],
    [`'/a', '1', user_ids => '{}'`, 'PB002'],
    [`'/global/a', '1', group_ids => '{g}'`, 'PB002'],
    [`'/a', '1', max_backlog_size => 0`, 'PB003'],
    [`'/a', '1', max_backlog_age => 0`, 'PB003'],
    [`'/a', '1', site_id => ''`, 'PB004'],
  ];
  for (const [args, code] of refusals) {
    const refuse = async (name: string) => {
      const refusal: unknown = await value(`select message_bus.${name}(${args})`).catch((error) => error);
      if (!(refusal instanceof pg.DatabaseError)) throw new Error(`${name}(${args}) is not refused`);
      return { code: refusal.code, message: refusal.message, hint: refusal.hint };
    };
    const refusal = await refuse('publish_later');
    t.equal(refusal.code, code);
    t.strictSame(refusal, await refuse('publish'));
  }
});

t.test('rollbacks and savepoints take back what was put down', async (t) => {
  const { url } = await createDatabase(t);
  const own = await openSession(t, url);
  await own.client.query(`begin; ${later('/a', '"gone"')}; rollback`);
  await own.client.query(
    `begin; ${later('/a', '1')};
    savepoint one; ${later('/a', '"gone"')}; savepoint two; ${later('/b', '"gone"')}; release two; rollback to one;
    ${later('/a', '2')}; savepoint three; ${later('/b', '3')}; release three;
    savepoint four; ${later('/a', '4')}; set constraints all immediate; rollback to four;
    commit`,
  );
  t.strictSame(await published(own), [
    { global_id: 1, channel: '/a', message_id: 1, data: 1 },
    { global_id: 2, channel: '/a', message_id: 2, data: 2 },
    { global_id: 3, channel: '/b', message_id: 1, data: 3 },
  ]);
  // Where the savepoint that is undone held all there was.
  await own.client.query(
    `begin; savepoint one; ${later('/a', '"gone"')}; rollback to one; select message_bus.publish('/c', '1'); commit`,
  );
  t.strictSame((await published(own)).slice(3), [{ global_id: 4, channel: '/c', message_id: 1, data: 1 }]);
});

t.test('with publish and publish_many in one transaction, each keeps its order', async (t) => {
  const { url } = await createDatabase(t);
  const { client, column } = await openSession(t, url);
  await client.query(
    `begin; select message_bus.publish('/a', '1'); ${later('/a', '3')}; select message_bus.publish('/a', '2'); ${later('/a', '4')}; commit`,
  );
  await client.query(
    `begin; ${later('/a', '7')}; select message_bus.publish('/a', '5');
    select message_bus.publish_many('[{"channel": "/a", "data": 6}]'); ${later('/a', '8')}; commit`,
  );
  const expected = [1, 2, 3, 4, 5, 6, 7, 8];
  t.strictSame(await column('select data from message_bus.global_backlog()'), expected, 'by global id');
  t.strictSame(await column(`select data from message_bus.backlog('/a') order by message_id`), expected);
});

t.test('what deferred triggers put down at commit is published too', async (t) => {
  const { url } = await createDatabase(t);
  const { client, column } = await openSession(t, url);
  await client.query(`create table orders (id int);
    create function note() returns trigger language plpgsql as $$ begin perform message_bus.publish_later('/orders', to_jsonb(new.id)); return null; end $$;
    create constraint trigger note after insert on orders deferrable initially deferred for each row execute function note()`);
  await client.query(
    `begin; ${later('/orders', '0')}; insert into orders values (1), (2); ${later('/orders', '9')}; commit`,
  );
  t.strictSame(await column('select data from message_bus.global_backlog()'), [0, 9, 1, 2]);
});

t.test('set constraints all immediate publishes at once', async (t) => {
  const { url } = await createDatabase(t);
  const own = await openSession(t, url);
  await own.client.query(`begin; ${later('/a', '1')}; ${later('/b', '2')}; set constraints all immediate`);
  await own.client.query(later('/a', '3'));
  t.strictSame(await own.column('select data from message_bus.global_backlog()'), [1, 2, 3]);
  await own.client.query('commit');
  t.strictSame(await own.column('select global_id from message_bus.global_backlog()'), [1, 2, 3]);
});

t.test('20,000 messages in one transaction are as quick, each, as a few', async (t) => {
  const { url, query } = await createDatabase(t);
  await query('select message_bus.configure(max_backlog_size => 100000, max_global_backlog_size => 100000)');
  const own = await openSession(t, url);
  let published = 0;
  const time = async (count: number) => {
    published += count;
    const started = performance.now();
    await own.client.query(
      `begin; select message_bus.publish_later('/' || i % 100, to_jsonb(i)) from generate_series(1, ${count}) i; commit`,
    );
    return (performance.now() - started) / count;
  };
  await time(100);
  let measured = '';
  let before = 0;
  const isAsQuick = async () => {
    const few = Math.min(await time(1000), await time(1000));
    before = published;
    const many = await time(20_000);
    measured = `${few} ms each of 1000, ${many} each of 20,000`;
    return many < 5 * few;
  };
  // Were the rows looked at again for each of them, it would be 20 times, however often; a busy machine slows some down.
  const isEverAsQuick = (await isAsQuick()) || (await isAsQuick()) || (await isAsQuick()) || (await isAsQuick());
  t.ok(isEverAsQuick, measured);
  const data = await own.column(`select data from message_bus.global_backlog(${before})`);
  t.strictSame(
    data,
    Array.from({ length: 20_000 }, (_, i) => i + 1),
  );
});

for (const level of ['repeatable read', 'serializable']) {
  t.test(`${level}: as publish, the commit fails where the bus has moved on, and can be tried again`, async (t) => {
    const { url, query } = await createDatabase(t);
    const own = await openSession(t, url);
    const other = await openSession(t, url);
    const begin = `begin isolation level ${level}; ${later('/a', '1')}; ${later('/b', '2')}`;
    await own.client.query(begin);
    await other.value(`select message_bus.publish('/c', '"meanwhile"')`);
    await t.rejects(own.client.query('commit'), { code: '40001' });
    t.strictSame(await query('select from message_bus.outbox'), []);
    await own.client.query(`${begin}; commit`);
    t.strictSame(await other.column('select data from message_bus.global_backlog()'), ['meanwhile', 1, 2]);
  });
}

t.test('where triggers are off for replication, messages are published nevertheless', async (t) => {
  const { url } = await createDatabase(t);
  const { client, value } = await openSession(t, url);
  await client.query('set session_replication_role = replica');
  await client.query(later('/a', '1'));
  t.equal(await value(`select message_bus.last_id('/a')`), 1);
});

t.test('a transaction that has put messages down cannot be prepared for two-phase commit', async (t) => {
  const { url, query } = await createDatabase(t);
  const { client } = await openSession(t, url);
  await client.query(`begin; ${later('/a', '1')}`);
  await t.rejects(client.query(`prepare transaction 'two phases, later'`), { code: '0A000', message: /NOTIFY/ });
  await client.query('rollback');
  t.strictSame(await query('select from message_bus.outbox'), []);
});

t.test('a role that may only publish later needs no other right, and reads nothing', async (t) => {
  const { database, url } = await createGrantee(t, ['publish_later']);
  const { client, value } = await openSession(t, url);
  await client.query(`begin; ${later('/a', '1')}; ${later('/b', '2')}; commit; ${later('/a', '3')}`);
  t.match(await database.query('select data from message_bus.global_backlog()'), [
    { data: 1 },
    { data: 2 },
    { data: 3 },
  ]);
  for (const statement of [
    'select * from message_bus.outbox',
    `select message_bus.publish('/a', '1')`,
    `select message_bus.publish_list('{}')`,
    'select message_bus.lock_outbox_channels()',
  ])
    await t.rejects(value(statement), { code: '42501' }, statement);
  // What it may set itself changes nothing for others.
  await client.query(`set postbus.outbox = 'waiting'; ${later('/a', '4')}`);
  t.equal((await database.query('select from message_bus.global_backlog()')).length, 4);
});
