import t from 'tap';
import { createDatabase } from '../../helpers/database.js';
import { openSession } from '../session.js';

t.test('ids come back in the order given, over channels and sites', async (t) => {
  const { url } = await createDatabase(t);
  const { value, rows } = await openSession(t, url);
  const publish = (messages: unknown) => value('select message_bus.publish_many($1)', [JSON.stringify(messages)]);
  await value(`select message_bus.publish('/b', '0')`);
  const ids = await publish([
    { channel: '/b', data: 'b2' },
    { channel: '/a', data: 'a1' },
    { channel: '/b', data: 'b3' },
    { channel: '/b', data: 'other site', site_id: 's' },
    { channel: '/global/g', data: 'g1', site_id: 's' },
    { channel: '/global/g', data: 'g2' },
    { channel: '/a', data: null },
  ]);
  t.strictSame(ids, [2, 1, 3, 1, 1, 2, 2]);
  t.strictSame(await rows('select global_id, channel, site_id, message_id, data from message_bus.global_backlog(1)'), [
    { global_id: 2, channel: '/b', site_id: null, message_id: 2, data: 'b2' },
    { global_id: 3, channel: '/a', site_id: null, message_id: 1, data: 'a1' },
    { global_id: 4, channel: '/b', site_id: null, message_id: 3, data: 'b3' },
    { global_id: 5, channel: '/b', site_id: 's', message_id: 1, data: 'other site' },
    { global_id: 6, channel: '/global/g', site_id: null, message_id: 1, data: 'g1' },
    { global_id: 7, channel: '/global/g', site_id: null, message_id: 2, data: 'g2' },
    { global_id: 8, channel: '/a', site_id: null, message_id: 2, data: null },
  ]);
});

t.test('targets are lists of text or numbers', async (t) => {
  const { url } = await createDatabase(t);
  const { value, rows } = await openSession(t, url);
  await value('select message_bus.publish_many($1)', [
    JSON.stringify([
      { channel: '/a', data: 1, user_ids: [7, '8'], group_ids: ['g', 0], client_ids: ['c', -1] },
      { channel: '/a', data: 2, user_ids: null, group_ids: null, client_ids: null, site_id: null },
    ]),
  ]);
  t.strictSame(await rows(`select user_ids, group_ids, client_ids from message_bus.backlog('/a')`), [
    { user_ids: ['7', '8'], group_ids: ['g', '0'], client_ids: ['c', '-1'] },
    { user_ids: null, group_ids: null, client_ids: null },
  ]);
});

t.test('sizes and ages are those of each message', async (t) => {
  const { url } = await createDatabase(t);
  const { value, column } = await openSession(t, url);
  const publish = (messages: unknown[]) => value('select message_bus.publish_many($1)', [JSON.stringify(messages)]);
  const ids = () => column(`select message_id from message_bus.backlog('/a')`);
  const message = { channel: '/a', data: 0 };
  const small = { ...message, max_backlog_size: 2 };
  await publish([small, message, message, message]);
  t.strictSame(await ids(), [1, 2, 3, 4], 'the last one wants the thousand of the bus');
  await publish([message, small, message]);
  t.strictSame(await ids(), [5, 6, 7], 'what one of them left over');
  await publish([message, message, message, small]);
  t.strictSame(await ids(), [10, 11]);
  await publish([{ ...message, max_backlog_size: 3 }, message, message, message]);
  t.strictSame(await ids(), [10, 11, 12, 13, 14, 15]);
});

t.test('more messages than a channel or the global backlog holds', async (t) => {
  const { url } = await createDatabase(t);
  const { value, column } = await openSession(t, url);
  const messages = Array.from({ length: 5000 }, (_, i) => ({ channel: i % 5 === 4 ? '/b' : '/a', data: i }));
  await value('select message_bus.publish_many($1)', [JSON.stringify(messages)]);
  const from = (length: number, first: number) => Array.from({ length }, (_, i) => first + i);
  t.strictSame(await column(`select message_id from message_bus.backlog('/a')`), from(1000, 3001));
  t.strictSame(await column(`select message_id from message_bus.backlog('/b')`), from(1000, 1));
  t.strictSame(
    await column(`select (data)::int from message_bus.global_backlog()`),
    messages.flatMap(({ channel, data }) => ((channel === '/a' ? data >= 3750 : data >= 3000) ? [data] : [])),
  );
});

t.test('an empty list publishes nothing', async (t) => {
  const { url } = await createDatabase(t);
  const { value, rows } = await openSession(t, url);
  t.strictSame(await value(`select message_bus.publish_many('[]')`), []);
  t.strictSame(await rows('select * from message_bus.global_backlog()'), []);
});

t.test('all or none', async (t) => {
  const { url } = await createDatabase(t);
  const { value, rows } = await openSession(t, url);
  await t.rejects(
    value(`select message_bus.publish_many('[{"channel": "/a", "data": 1}, {"channel": "__a", "data": 2}]')`),
    {
      code: 'PB001',
      message: `messages[1].channel: '__a' is not a channel`,
    },
  );
  t.strictSame(await rows('select * from message_bus.global_backlog()'), []);
  t.equal(await value(`select message_bus.last_id('/a')`), 0);
});

t.test('what is not a list of messages is refused, by name', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  const good = { channel: '/a', data: 1 };
  const lists: [unknown, RegExp][] = [
    [null, /^messages: /],
    [good, /^messages: /],
    ['[]', /^messages: /],
    [[good, null], /^messages\[1\]: /],
    [[good, [good]], /^messages\[1\]: /],
    [[{}], /^messages\[0\]\.channel: /],
    [[{ data: 1 }], /^messages\[0\]\.channel: /],
    [[{ channel: 1, data: 1 }], /^messages\[0\]\.channel: /],
    [[{ channel: null, data: 1 }], /^messages\[0\]\.channel: /],
    [[{ channel: '/a' }], /^messages\[0\]\.data: /],
    // An unknown key may be a target that was meant: passed over, the message would go to everyone.
    [[{ ...good, userIds: ['7'] }], /^messages\[0\]\.userIds: /],
    [[good, good, { ...good, ' user_ids': ['7'] }], /^messages\[2\]\. user_ids: /],
    [[{ ...good, user_ids: '7' }], /^messages\[0\]\.user_ids: /],
    [[{ ...good, user_ids: 7 }], /^messages\[0\]\.user_ids: /],
    [[{ ...good, user_ids: { 0: '7' } }], /^messages\[0\]\.user_ids: /],
    [[{ ...good, user_ids: [1.5] }], /^messages\[0\]\.user_ids: must be a list of text or whole numbers/],
    [[{ ...good, client_ids: ['c', 1e-3] }], /^messages\[0\]\.client_ids: /],
    [[{ ...good, group_ids: [['7']] }], /^messages\[0\]\.group_ids: /],
    [[{ ...good, group_ids: [[]] }], /^messages\[0\]\.group_ids: /],
    [[{ ...good, group_ids: [null] }], /^messages\[0\]\.group_ids: /],
    [[{ ...good, client_ids: [true] }], /^messages\[0\]\.client_ids: /],
    [[{ ...good, site_id: 1 }], /^messages\[0\]\.site_id: /],
    [[{ ...good, max_backlog_size: '1' }], /^messages\[0\]\.max_backlog_size: /],
    [[{ ...good, max_backlog_size: 1.5 }], /^messages\[0\]\.max_backlog_size: /],
    [[{ ...good, max_backlog_size: 2147483648 }], /^messages\[0\]\.max_backlog_size: /],
    [[{ ...good, max_backlog_age: 1e30 }], /^messages\[0\]\.max_backlog_age: /],
    [[{ ...good, max_backlog_age: true }], /^messages\[0\]\.max_backlog_age: /],
  ];
  for (const [list, message] of lists) {
    const json = JSON.stringify(list);
    await t.rejects(value('select message_bus.publish_many($1)', [json]), { code: 'PB005', message }, json);
  }
  // As Python and PHP write whole floating-point numbers: the text 42.0 is no user.
  for (const ids of ['[42.0]', '["a", 7.00]', '[1e-1]']) {
    const json = `[{"channel": "/a", "data": 1, "user_ids": ${ids}}]`;
    const refused = { code: 'PB005', message: /^messages\[0\]\.user_ids: must be a list of text or whole numbers/ };
    await t.rejects(value('select message_bus.publish_many($1)', [json]), refused, ids);
  }
  await t.rejects(value('select message_bus.publish_many(null)'), { code: 'PB005', message: /^messages: / });
  t.equal(await value('select count(*) from message_bus.global_backlog()'), 0);
});

t.test('the arguments of each message are those of publish()', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  const good = { channel: '/a', data: 1 };
  const lists: [object, string, string][] = [
    [{ channel: '/__status', data: 1 }, 'PB001', 'channel'],
    [{ ...good, user_ids: [] }, 'PB002', 'user_ids'],
    [{ channel: '/global/a', data: 1, group_ids: ['g'] }, 'PB002', 'group_ids'],
    [{ ...good, max_backlog_size: 0 }, 'PB003', 'max_backlog_size'],
    [{ ...good, max_backlog_age: -1 }, 'PB003', 'max_backlog_age'],
    [{ ...good, site_id: '' }, 'PB004', 'site_id'],
  ];
  for (const [message, code, argument] of lists) {
    await t.rejects(value('select message_bus.publish_many($1)', [JSON.stringify([good, message])]), {
      code,
      message: new RegExp(`^messages\\[1\\]\\.${argument}: `),
    });
  }
});

t.test('notifications of a batch fit, however long the names', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  const long = { channel: `/${'😀'.repeat(254)}`, site_id: '😀'.repeat(255), data: 'x'.repeat(3000) };
  const short = { channel: '/s', data: 'y'.repeat(45) };
  const tiny = { channel: '/t', data: 0 };
  // In one of these lists, a notification begins with the long line and is filled up to the edge by the others.
  for (let before = 45; before < 77; before++) {
    for (let tinies = 0; tinies < 4; tinies++) {
      const messages = [
        ...Array(before).fill(short),
        ...Array(tinies).fill(tiny),
        long,
        ...Array(85).fill(short),
        ...Array(40).fill(tiny),
      ];
      const count = await value('select array_length(message_bus.publish_many($1), 1)', [JSON.stringify(messages)]);
      t.equal(count, messages.length);
    }
  }
});

t.test('in a transaction that publishes one by one too, global ids follow the order of the calls', async (t) => {
  const { url } = await createDatabase(t);
  const { client, value, rows } = await openSession(t, url);
  const batch = `select message_bus.publish_many('[{"channel": "/a", "data": "batch"}]')`;
  await client.query('begin');
  t.equal(await value(`select message_bus.publish('/a', '"first"')`), 1);
  t.strictSame(await value(batch), [2]);
  t.equal(await value(`select message_bus.publish('/a', '"then"')`), 3);
  t.strictSame(await value(batch), [4]);
  await client.query('savepoint s');
  await value(batch);
  await client.query('rollback to s');
  t.equal(await value(`select message_bus.publish('/a', '"last"')`), 5);
  await client.query('commit');
  t.strictSame(
    await rows('select global_id, message_id, data from message_bus.global_backlog()'),
    ['first', 'batch', 'then', 'batch', 'last'].map((data, i) => ({ global_id: i + 1, message_id: i + 1, data })),
  );
});
