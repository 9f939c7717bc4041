import t from 'tap';
import { startEmbeddedPostgres } from '../../../src/embedded-postgres/index.js';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { until } from '../../helpers/until.js';
import { openSession, type Session } from '../session.js';

const backlogIds = ({ column }: Session, channel: string) =>
  column('select message_id from message_bus.backlog($1)', [channel]);

const from = (length: number, first: number) => Array.from({ length }, (_, i) => first + i);

t.test(
  'a thousand messages a channel, two thousand in the global backlog; a quiet channel keeps its own',
  async (t) => {
    const { url } = await createDatabase(t);
    const session = await openSession(t, url);
    await session.value(`select message_bus.publish('/quiet', '"still here"')`);
    await session.value(`select count(message_bus.publish('/busy', to_jsonb(i))) from generate_series(1, 2100) i`);
    t.strictSame(await backlogIds(session, '/quiet'), [1]);
    t.strictSame(await backlogIds(session, '/busy'), from(1000, 1101));
    t.strictSame(await session.column('select global_id from message_bus.global_backlog()'), from(1000, 1102));
    await session.value(`select count(message_bus.publish('/busy2', '0')) from generate_series(1, 900) i`);
    await session.value(`select count(message_bus.publish('/busy3', '0')) from generate_series(1, 900) i`);
    t.strictSame(
      await session.column('select global_id from message_bus.global_backlog()'),
      from(2000, 1902),
      'of the busy channel, those in the window of all',
    );
    t.strictSame(await backlogIds(session, '/busy'), from(1000, 1101));
  },
);

t.test('limits hold at once, long before anything is deleted, and for channels where nothing happens', async (t) => {
  const { url } = await createDatabase(t);
  const session = await openSession(t, url);
  await session.value('select message_bus.configure(clear_every => 1000000)');
  await session.value(`select count(message_bus.publish('/a', '0')) from generate_series(1, 50)`);
  await session.value('select message_bus.configure(max_backlog_size => 7)');
  t.strictSame(await backlogIds(session, '/a'), from(7, 44));
  t.strictSame(await session.column('select message_id from message_bus.global_backlog()'), from(7, 44));
  t.equal(await session.value(`select message_bus.get_message('/a', 43) is null`), true);
  await session.value('select message_bus.configure(max_global_backlog_size => 3)');
  t.strictSame(await session.column('select message_id from message_bus.global_backlog()'), from(3, 48));
  t.strictSame(await backlogIds(session, '/a'), from(7, 44), 'the window over all is another matter');

  await session.value(`select message_bus.publish('/a', '0', max_backlog_size => 2)`);
  t.strictSame(await backlogIds(session, '/a'), [50, 51]);
  await session.value(`select message_bus.publish('/a', '0')`);
  t.strictSame(await backlogIds(session, '/a'), [50, 51, 52], 'what a size has dropped stays away');
});

t.test('configure() leaves alone what it is not given', async (t) => {
  const { url } = await createDatabase(t);
  const session = await openSession(t, url);
  await session.value('select message_bus.configure(10, 3, 4, 3600)');
  await session.value('select message_bus.configure()');
  await session.value('select message_bus.configure(clear_every => 20)');
  await session.value('select message_bus.configure(max_backlog_size => null)');
  await session.value(
    `select count(message_bus.publish('/a', '0') + message_bus.publish('/b', '0')) from generate_series(1, 5)`,
  );
  t.strictSame(await backlogIds(session, '/a'), [3, 4, 5]);
  t.strictSame(await session.column('select global_id from message_bus.global_backlog()'), from(4, 7));
  await session.client.query(
    `update message_bus.messages set published_at = published_at - interval '1 hour' where message_id = 3`,
  );
  t.strictSame(await backlogIds(session, '/a'), [4, 5]);
});

t.test('a message lives as long as its age; others in the channel stay', async (t) => {
  const { url } = await createDatabase(t);
  const session = await openSession(t, url);
  for (const age of [3600, 1, null, 1, 3600])
    await session.value(`select message_bus.publish('/a', '0', max_backlog_age => $1)`, [age]);
  await session.value(`select message_bus.publish('/idle', '0', max_backlog_age => 1)`);
  await until(async () => (await backlogIds(session, '/a')).length === 3, 'two messages have expired');
  t.strictSame(await backlogIds(session, '/a'), [1, 3, 5]);
  await until(async () => (await backlogIds(session, '/idle')).length === 0, 'the idle channel is empty');
  t.equal(await session.value(`select message_bus.get_message('/a', 2) is null`), true);
  t.strictSame(await session.column('select global_id from message_bus.global_backlog()'), [1, 3, 5]);
  t.strictSame(await session.value(`select message_bus.last_ids('{/a,/idle}')`), [5, 1]);
  await session.value('select message_bus.configure(max_backlog_age => 1)');
  await until(async () => (await backlogIds(session, '/a')).length === 2, 'the one without an age has expired');
  t.strictSame(await backlogIds(session, '/a'), [1, 5], 'an age of its own comes before that of the bus');
});

t.test('expire_all_backlogs() and reset() drop all messages; ids go on', async (t) => {
  const { url } = await createDatabase(t);
  const session = await openSession(t, url);
  for (const [i, drop] of ['expire_all_backlogs', 'reset'].entries()) {
    await session.value(`select message_bus.publish('/a', '0'), message_bus.publish('/a', '0', site_id => 's')`);
    await session.value(`select message_bus.${drop}()`);
    t.strictSame(await session.rows('select * from message_bus.global_backlog()'), []);
    t.strictSame(await backlogIds(session, '/a'), []);
    t.equal(await session.value(`select message_bus.get_message('/a', $1) is null`, [2 * i + 1]), true);
    t.equal(await session.value(`select message_bus.last_id('/a')`), 2 * i + 1);
    t.equal(await session.value(`select message_bus.publish('/a', '0')`), 2 * i + 2);
    t.strictSame(await backlogIds(session, '/a'), [2 * i + 2]);
    t.strictSame(await session.column('select global_id from message_bus.global_backlog()'), [3 * i + 3]);
  }
});

t.test('what is being published while all backlogs expire stays', async (t) => {
  const { url } = await createDatabase(t);
  const own = await openSession(t, url);
  const other = await openSession(t, url);
  await own.value('select message_bus.configure(max_backlog_size => 1)');
  await own.value(`select message_bus.publish('/a', '"old"'), message_bus.publish('/b', '"old"')`);
  await own.client.query('begin');
  await own.value(`select message_bus.publish('/a', '"new"')`);
  await other.value('select message_bus.expire_all_backlogs()');
  await own.client.query('commit');
  t.strictSame(await other.column('select data from message_bus.global_backlog()'), ['new']);

  // Expired while another message was taking its place, which then did not happen.
  await own.client.query('begin');
  await own.value(`select message_bus.publish('/a', '"never"')`);
  await other.value('select message_bus.expire_all_backlogs()');
  await own.client.query('rollback');
  t.strictSame(await backlogIds(other, '/a'), []);
  t.equal(await other.value(`select message_bus.publish('/a', '"next"')`), 3);

  await own.client.query('begin');
  await own.value(`select message_bus.publish('/a', '"with it"')`);
  await own.value('select message_bus.expire_all_backlogs()');
  await own.client.query('commit');
  t.strictSame(await other.column('select data from message_bus.global_backlog()'), ['with it']);
});

t.test('surplus rows are deleted once in clear_every publications', async (t) => {
  const { url } = await createDatabase(t);
  const session = await openSession(t, url);
  const kept = () => session.value('select count(*) from message_bus.messages');
  await session.value(`select count(message_bus.publish('/a', '0')) from generate_series(1, 950)`);
  await session.value('select message_bus.configure(max_backlog_size => 10)');
  await session.value(`select count(message_bus.publish('/a', '0')) from generate_series(1, 49)`);
  t.equal(await kept(), 999, 'not yet');
  await session.value(`select message_bus.publish('/a', '0')`);
  t.equal(await kept(), 10);

  await session.value('select message_bus.configure(max_backlog_size => 500, clear_every => 20)');
  await session.value(
    `select count(message_bus.publish('/a', '0', max_backlog_age => 60)) from generate_series(1, 60)`,
  );
  await session.client.query(`update message_bus.messages set expires_at = now() where expires_at is not null`);
  await session.value(
    `select count(message_bus.publish_many('[{"channel": "/a", "data": 0}]')) from generate_series(1, 20)`,
  );
  t.equal(await kept(), 90, 'ten without an age come first');
  await session.client.query(`update message_bus.messages set expires_at = now() where message_id <= 1000`);
  await session.value(`select count(message_bus.publish('/a', '0')) from generate_series(1, 20)`);
  t.equal(await kept(), 40);
});

t.test('what has expired in idle channels is deleted along with what is published elsewhere', async (t) => {
  const { url } = await createDatabase(t);
  const session = await openSession(t, url);
  const other = await openSession(t, url);
  await session.value('select message_bus.configure(clear_every => 10)');
  const kept = () =>
    session.column(`select channel from message_bus.channels c where exists
    (select from message_bus.messages m where m.channel_id = c.id) and channel like '/idle%' order by id`);
  const idle = Array.from({ length: 40 }, (_, i) => `/idle/${i}`);
  for (const channel of idle)
    await session.value(`select message_bus.publish($1, '0') from generate_series(1, 3)`, [channel]);
  t.strictSame(await kept(), idle);
  const expire = (channel: string) =>
    session.client.query(
      `update message_bus.messages set published_at = now() - interval '7 days'
      where channel_id = (select id from message_bus.channels where channel = $1)`,
      [channel],
    );
  for (const channel of idle.slice(2)) await expire(channel);
  t.strictSame(await kept(), idle, 'not by itself');

  // Somebody publishes to an idle channel and does not end: nobody waits for that.
  await other.client.query('begin');
  await other.value(`select message_bus.publish('/idle/2', '0')`);
  const [before] = await session.rows('select max(global_id) as id from message_bus.global_ring');
  let most = 0;
  for (let count = idle.length; ; ) {
    await session.value(`select message_bus.publish('/busy', '0', max_backlog_size => 1)`);
    const left = (await kept()).length;
    most = Math.max(most, count - left);
    count = left;
    const [bus] = await session.rows('select max(global_id) as id from message_bus.global_ring');
    if (count === 3 || Number(bus?.id) - Number(before?.id) > 80) break;
  }
  const [after] = await session.rows('select max(global_id) as id from message_bus.global_ring');
  t.ok(Number(after?.id) - Number(before?.id) <= 80, 'a round takes half as many publications as there are rows');
  t.ok(most <= 8, `at most as many at a time as lie in 20 rows (${most})`);
  t.strictSame(await kept(), idle.slice(0, 3));
  await other.client.query('commit');
  t.strictSame(await backlogIds(other, '/idle/2'), [4]);
  t.strictSame(await backlogIds(other, '/idle/0'), [1, 2, 3]);
  t.equal(await session.value(`select message_bus.publish('/idle/5', '0')`), 4, 'ids go on');

  // The same by lists, as nodes publish.
  await expire('/idle/0');
  await session.value(`select message_bus.publish_many($1) from generate_series(1, 3)`, [
    JSON.stringify(Array.from({ length: 20 }, () => ({ channel: '/busy', data: 0, max_backlog_size: 1 }))),
  ]);
  t.strictSame(await kept(), ['/idle/1', '/idle/2', '/idle/5']);
});

t.test(
  'a list in a transaction that has published before: what it is about to write is not taken for gone',
  async (t) => {
    const { url } = await createDatabase(t);
    const session = await openSession(t, url);
    await session.value('select message_bus.configure(clear_every => 1)');
    await session.value(`select message_bus.publish('/a', '1')`);
    await session.client.query(`update message_bus.messages set published_at = now() - interval '7 days'`);
    await session.client.query('begin');
    await session.value(`select message_bus.publish('/b', '0')`);
    await session.value(`select message_bus.publish_many('[{"channel": "/a", "data": 2}]')`);
    await session.client.query('commit');
    t.strictSame(await backlogIds(session, '/a'), [2]);
  },
);

t.test('tables stay small under steady traffic', async (t) => {
  // On a server of its own, without the help of vacuum: a backend that starts, of whatever database, keeps all versions until
  // it has started, and the snapshot of an ANALYZE does while it lasts.
  const settings = { autovacuum: 'off', fsync: 'off', synchronous_commit: 'off' };
  const server = await startEmbeddedPostgres({ settings });
  t.teardown(() => server.stop());
  await openBus(t, server.url).migrate();
  const { client, value } = await openSession(t, server.url);
  // Each in a transaction of its own, without a round trip.
  await client.query(`do $$
    begin
      for i in 1..20000 loop
        perform message_bus.publish('/a', jsonb_build_object('text', 'a short message', 'i', i));
        commit;
      end loop;
    end
  $$`);
  const megabytes = async (table: string) =>
    Number(await value('select pg_total_relation_size($1::regclass)', [`message_bus.${table}`])) / 1_000_000;
  t.equal(await value(`select count(*) from message_bus.backlog('/a')`), 1000);
  for (const [table, limit] of [
    ['messages', 2],
    ['global_ring', 2],
    ['channels', 0.5],
    ['bus', 0.5],
    ['settings', 0.1],
    ['sweep', 0.1],
  ] as const) {
    const size = await megabytes(table);
    t.ok(size < limit, `${table}: ${size} MB of ${limit}`);
  }
});
