import t from 'tap';
import { createDatabase } from '../../helpers/database.js';
import { openSession } from '../session.js';

t.test('every argument of publish() can be given by name and is read back', async (t) => {
  const { url } = await createDatabase(t);
  const { value, rows } = await openSession(t, url);
  const before = Date.now();
  t.equal(
    await value(`select message_bus.publish(channel => '/chat', data => '{"a": [1, "ü"]}', user_ids => '{u1,u2}',
      group_ids => '{g}', client_ids => '{c}', site_id => 's', max_backlog_size => 5, max_backlog_age => 60)`),
    1,
  );
  const [message, ...others] = await rows(`select * from message_bus.backlog('/chat', site_id => 's')`);
  t.strictSame(others, []);
  const { published_at, ...rest } = message ?? {};
  t.strictSame(rest, {
    global_id: 1,
    message_id: 1,
    channel: '/chat',
    site_id: 's',
    data: { a: [1, 'ü'] },
    user_ids: ['u1', 'u2'],
    group_ids: ['g'],
    client_ids: ['c'],
  });
  t.ok(published_at instanceof Date && Math.abs(published_at.getTime() - before) < 60_000);
});

t.test('a message is a row of nine columns in a fixed order', async (t) => {
  const { url } = await createDatabase(t);
  const { rows } = await openSession(t, url);
  const columns = await rows(`select a.attname as name, format_type(a.atttypid, null) as type
    from pg_type y join pg_attribute a on a.attrelid = y.typrelid
    where y.oid = 'message_bus.message'::regtype order by a.attnum`);
  t.strictSame(
    columns.map(({ name, type }) => `${name} ${type}`),
    [
      'global_id bigint',
      'message_id bigint',
      'channel text',
      'site_id text',
      'data jsonb',
      'user_ids text[]',
      'group_ids text[]',
      'client_ids text[]',
      'published_at timestamp with time zone',
    ],
  );
});

t.test('data can be any JSON; null of SQL becomes null of JSON', async (t) => {
  const { url } = await createDatabase(t);
  const { value, column } = await openSession(t, url);
  const all = [{ deep: [[{}]] }, [], 'text', '', 0, -1.5e300, 12345678901234567890n, true, null, 'x'.repeat(1_000_000)];
  for (const data of all) {
    const json = typeof data === 'bigint' ? String(data) : JSON.stringify(data);
    await value(`select message_bus.publish('/any', $1)`, [json]);
    t.strictSame(
      await column(
        `select data::text::jsonb = $1::jsonb from message_bus.backlog('/any') order by message_id desc limit 1`,
        [json],
      ),
      [true],
    );
  }
  await value(`select message_bus.publish('/any', null)`);
  t.equal(await value(`select jsonb_typeof(data) from message_bus.get_message('/any', $1)`, [all.length + 1]), 'null');
});

t.test('ids count per channel and site; global ids over all', async (t) => {
  const { url } = await createDatabase(t);
  const { value, rows } = await openSession(t, url);
  const publish = (channel: string, site: string | null) =>
    value(`select message_bus.publish($1, '0', site_id => $2)`, [channel, site]);
  t.equal(await publish('/a', null), 1);
  t.equal(await publish('/a', 's'), 1);
  t.equal(await publish('/a', 's'), 2);
  t.equal(await publish('/b', null), 1);
  t.equal(await publish('/A', null), 1, 'capitals make another channel');
  // Channels under /global/ belong to no site.
  t.equal(await publish('/global/a', 's'), 1);
  t.equal(await publish('/global/a', null), 2);
  t.equal(await publish('/global', 's'), 1, 'this one is like any other');
  t.strictSame(await rows('select global_id, channel, site_id, message_id from message_bus.global_backlog()'), [
    { global_id: 1, channel: '/a', site_id: null, message_id: 1 },
    { global_id: 2, channel: '/a', site_id: 's', message_id: 1 },
    { global_id: 3, channel: '/a', site_id: 's', message_id: 2 },
    { global_id: 4, channel: '/b', site_id: null, message_id: 1 },
    { global_id: 5, channel: '/A', site_id: null, message_id: 1 },
    { global_id: 6, channel: '/global/a', site_id: null, message_id: 1 },
    { global_id: 7, channel: '/global/a', site_id: null, message_id: 2 },
    { global_id: 8, channel: '/global', site_id: 's', message_id: 1 },
  ]);
});

t.test('a transaction sees its own messages, without a global id until it commits', async (t) => {
  const { url } = await createDatabase(t);
  const own = await openSession(t, url);
  const other = await openSession(t, url);
  const look = `select message_id, global_id from message_bus.backlog('/own')`;
  await own.client.query('begin');
  t.equal(await own.value(`select message_bus.publish('/own', '1')`), 1);
  t.equal(await own.value(`select message_bus.publish('/own', '2')`), 2);
  t.strictSame(await own.rows(look), [
    { message_id: 1, global_id: null },
    { message_id: 2, global_id: null },
  ]);
  t.equal(await own.value(`select message_bus.last_id('/own')`), 2);
  t.strictSame(await own.rows('select * from message_bus.global_backlog()'), []);
  t.strictSame(await other.rows(look), []);
  t.equal(await other.value(`select message_bus.last_id('/own')`), 0);
  await own.client.query('commit');
  t.strictSame(await other.rows(look), [
    { message_id: 1, global_id: 1 },
    { message_id: 2, global_id: 2 },
  ]);
});

t.test('what is rolled back was never published: its ids go to the next', async (t) => {
  const { url } = await createDatabase(t);
  const { client, value, rows } = await openSession(t, url);
  await client.query('begin');
  await value(`select message_bus.publish('/r', '"gone"')`);
  await client.query('rollback');
  await client.query('begin');
  await value(`select message_bus.publish('/r', '"kept 1"')`);
  await client.query('savepoint s');
  await value(`select message_bus.publish('/r', '"gone"'), message_bus.publish('/r2', '"gone"')`);
  await value(`select message_bus.publish_many('[{"channel": "/r", "data": "gone"}]')`);
  await client.query('rollback to s');
  t.equal(await value(`select message_bus.publish('/r', '"kept 2"')`), 2);
  await client.query('commit');
  t.equal(await value(`select message_bus.publish('/r2', '"kept 3"')`), 1);
  t.strictSame(await rows('select global_id, message_id, channel, data from message_bus.global_backlog()'), [
    { global_id: 1, message_id: 1, channel: '/r', data: 'kept 1' },
    { global_id: 2, message_id: 2, channel: '/r', data: 'kept 2' },
    { global_id: 3, message_id: 1, channel: '/r2', data: 'kept 3' },
  ]);
});

t.test('one statement may publish many times', async (t) => {
  const { url } = await createDatabase(t);
  const { column, value } = await openSession(t, url);
  const ids = await column(`select message_bus.publish('/s', to_jsonb(i)) from generate_series(1, 2500) i`);
  t.strictSame(
    ids,
    Array.from({ length: 2500 }, (_, i) => i + 1),
  );
  t.equal(await value(`select count(*) from message_bus.backlog('/s') where data = to_jsonb(message_id)`), 1000);
});
