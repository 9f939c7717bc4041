import t from 'tap';
import { createDatabase } from '../helpers/database.js';
import { openSession } from '../sql/session.js';

const largest = '9223372036854775807';

t.test('last_id and last_ids tell the last id, 0 where nothing was published', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  await value(`select message_bus.publish_many('[{"channel": "/a", "data": 0}, {"channel": "/a", "data": 0},
    {"channel": "/a", "data": 0, "site_id": "s"}, {"channel": "/global/a", "data": 0}]')`);
  t.equal(await value(`select message_bus.last_id('/a')`), 2);
  t.equal(await value(`select message_bus.last_id(channel => '/a', site_id => 's')`), 1);
  t.equal(await value(`select message_bus.last_id('/global/a', 's')`), 1);
  t.equal(await value(`select message_bus.last_id('/b')`), 0);
  t.strictSame(await value(`select message_bus.last_ids('{/b,/a,/global/a,/a}')`), [0, 2, 1, 2]);
  t.strictSame(await value(`select message_bus.last_ids(channels => '{/a,/global/a,/b}', site_id => 's')`), [1, 1, 0]);
  t.strictSame(await value(`select message_bus.last_ids('{}')`), []);
  // Asking makes no channel.
  t.equal(await value(`select message_bus.publish('/b', '0')`), 1);
});

t.test('backlog gives what comes after an id, oldest first', async (t) => {
  const { url } = await createDatabase(t);
  const { value, column } = await openSession(t, url);
  await value(`select message_bus.publish_many('[{"channel": "/a", "data": 0}, {"channel": "/a", "data": 0, "site_id": "s"},
    {"channel": "/a", "data": 0}, {"channel": "/global/a", "data": 0}, {"channel": "/a", "data": 0}]')`);
  const backlog = (call: string) => column(`select message_id from message_bus.backlog(${call})`);
  t.strictSame(await backlog(`'/a'`), [1, 2, 3]);
  t.strictSame(await backlog(`channel => '/a', after_id => 1`), [2, 3]);
  t.strictSame(await backlog(`'/a', 3`), []);
  t.strictSame(await backlog(`'/a', 4`), []);
  t.strictSame(await backlog(`'/a', ${largest}`), []);
  t.strictSame(await backlog(`'/a', -5`), [1, 2, 3]);
  t.strictSame(await backlog(`'/a', null`), [1, 2, 3]);
  t.strictSame(await backlog(`'/a', site_id => 's'`), [1]);
  t.strictSame(await backlog(`'/global/a', site_id => 's'`), [1]);
  t.strictSame(await backlog(`'/b'`), []);
});

t.test('global_backlog gives all channels and sites after a global id, oldest first', async (t) => {
  const { url } = await createDatabase(t);
  const { value, column } = await openSession(t, url);
  await value(`select message_bus.publish_many('[{"channel": "/b", "data": 0}, {"channel": "/a", "data": 0, "site_id": "s"},
    {"channel": "/global/a", "data": 0}]')`);
  const backlog = (call: string) => column(`select channel from message_bus.global_backlog(${call})`);
  t.strictSame(await backlog(''), ['/b', '/a', '/global/a']);
  t.strictSame(await backlog('after_global_id => 1'), ['/a', '/global/a']);
  t.strictSame(await backlog('3'), []);
  t.strictSame(await backlog(largest), []);
  t.strictSame(await backlog('-5'), ['/b', '/a', '/global/a']);
  t.strictSame(await backlog('null'), ['/b', '/a', '/global/a']);
});

t.test('get_message gives one message, or null', async (t) => {
  const { url } = await createDatabase(t);
  const { value, rows } = await openSession(t, url);
  await value(
    `select message_bus.publish('/a', '"one"'), message_bus.publish('/a', '"two"', user_ids => '{7}', site_id => 's')`,
  );
  const [message] = await rows(
    `select * from message_bus.get_message(channel => '/a', message_id => 1, site_id => 's')`,
  );
  const { published_at, ...rest } = message ?? {};
  t.strictSame(rest, {
    global_id: 2,
    message_id: 1,
    channel: '/a',
    site_id: 's',
    data: 'two',
    user_ids: ['7'],
    group_ids: null,
    client_ids: null,
  });
  t.ok(published_at instanceof Date);
  t.equal(await value(`select (message_bus.get_message('/a', 1)).data #>> '{}'`), 'one');
  for (const call of [
    `'/a', 2`,
    `'/a', 0`,
    `'/a', -1`,
    `'/a', ${largest}`,
    `'/a', -${largest} - 1`,
    `'/a', null`,
    `'/b', 1`,
    `'/a', 1, 'x'`,
  ])
    t.equal(await value(`select message_bus.get_message(${call}) is null`), true, call);
});
