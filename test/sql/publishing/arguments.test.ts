import t from 'tap';
import { createDatabase } from '../../helpers/database.js';
import { openSession } from '../session.js';

const longest = `/${'ü'.repeat(254)}`;

t.test('a channel has 1 to 255 characters, no control characters, and does not begin with __ or /__', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  const bad = [
    null,
    '',
    '__',
    '__a',
    '/__',
    '/__status',
    '/__status/',
    `${longest}x`,
    '/a\n',
    '/\t',
    '/\u0001',
    '/\u001f',
    '/\u007f',
    '/a\u0080',
    '/\u009f',
  ];
  for (const channel of bad) {
    const refusal = { code: 'PB001', message: /^channel: .* is not a channel$/s };
    const said = JSON.stringify(channel);
    await t.rejects(value(`select message_bus.publish($1, '0')`, [channel]), refusal, `publish ${said}`);
    await t.rejects(value('select message_bus.last_id($1)', [channel]), refusal, `last_id ${said}`);
    await t.rejects(value('select message_bus.backlog($1)', [channel]), refusal, `backlog ${said}`);
    await t.rejects(value('select message_bus.get_message($1, 1)', [channel]), refusal, `get_message ${said}`);
    await t.rejects(
      value('select message_bus.last_ids($1)', [['/good', channel]]),
      { code: 'PB001', message: /^channels\[2\]: .* is not a channel$/s },
      `last_ids ${said}`,
    );
  }
  await t.rejects(value('select message_bus.last_ids(null)'), { code: 'PB001', message: /^channels: / });
  const good = [
    '/',
    'a',
    ' /a',
    'a/__b',
    '/a__',
    '_a',
    '/_',
    '//__a',
    'ü',
    longest,
    '/a b',
    `/'";--`,
    '//',
    '/ü😀',
    '/\u00a0',
    '/global/',
    '/%s\\n',
  ];
  for (const channel of good) {
    t.equal(await value(`select message_bus.publish($1, '0')`, [channel]), 1, channel);
    t.equal(await value('select message_bus.last_id($1)', [channel]), 1);
  }
});

t.test('targets are null or a list of at least one id, none of them null', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  for (const argument of ['user_ids', 'group_ids', 'client_ids']) {
    const refusal = {
      code: 'PB002',
      message: `${argument}: must be null or a list of at least one id, none of them null`,
    };
    for (const ids of [`'{}'`, 'array[null]', `'{a,null}'`, `'{null,a}'`, `'{{a,b}}'`, 'array[]::text[]'])
      await t.rejects(value(`select message_bus.publish('/a', '0', ${argument} => ${ids})`), refusal, ids);
  }
  t.equal(await value(`select message_bus.publish('/a', '0', user_ids => '{"null",""}')`), 1);
});

t.test('channels under /global/ have no users and no groups', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  for (const argument of ['user_ids', 'group_ids'])
    for (const ids of [`'{7}'`, `'{}'`])
      await t.rejects(value(`select message_bus.publish('/global/a', '0', ${argument} => ${ids})`), {
        code: 'PB002',
        message: `${argument}: a channel under /global/ has no users or groups`,
      });
  t.equal(await value(`select message_bus.publish('/global/a', '0', client_ids => '{c}')`), 1);
});

t.test('what is wrong is refused on channels that are known, too', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  for (const channel of ['/a', '/global/a']) t.equal(await value('select message_bus.publish($1, null)', [channel]), 1);
  for (const [code, channel, wrong] of [
    ['PB002', '/a', `user_ids => '{}'`],
    ['PB002', '/a', 'client_ids => array[null]'],
    ['PB002', '/global/a', `group_ids => '{g}'`],
    ['PB003', '/a', 'max_backlog_size => 0'],
    ['PB003', '/global/a', 'max_backlog_age => -1'],
    ['PB004', '/a', `site_id => ''`],
    ['PB004', '/global/a', `site_id => ''`],
    ['PB001', '/a\n', `site_id => 's'`],
  ])
    await t.rejects(
      value(`select message_bus.publish($1, '0', ${wrong})`, [channel]),
      { code },
      `${channel}: ${wrong}`,
    );
  for (const channel of ['/a', '/global/a']) t.equal(await value('select message_bus.last_id($1)', [channel]), 1);
});

t.test('sizes, ages and clear_every are 1 or more', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  for (const limit of [0, -1, -2147483648]) {
    for (const argument of ['max_backlog_size', 'max_backlog_age', 'max_global_backlog_size', 'clear_every']) {
      const refusal = { code: 'PB003', message: `${argument}: must be 1 or more, not ${limit}` };
      await t.rejects(value(`select message_bus.configure(${argument} => ${limit})`), refusal);
      if (/^max_backlog/.test(argument))
        await t.rejects(value(`select message_bus.publish('/a', '0', ${argument} => ${limit})`), refusal);
    }
  }
  t.equal(await value(`select message_bus.publish('/a', '0', max_backlog_size => 1, max_backlog_age => 1)`), 1);
  const max = 2147483647;
  await value(`select message_bus.configure(${max}, ${max}, ${max}, ${max})`);
  t.equal(
    await value(`select message_bus.publish('/a', '0', max_backlog_size => ${max}, max_backlog_age => ${max})`),
    2,
  );
  t.equal(await value(`select message_bus.publish('/a', '0')`), 3);
  t.equal(await value(`select count(*) from message_bus.backlog('/a')`), 3);
  t.equal(await value(`select count(*) from message_bus.global_backlog()`), 3);
});

t.test('a site has 1 to 255 characters and no control characters', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  for (const site of ['', 'x'.repeat(256), 'a\n', '\u007f', '\u0085']) {
    const refusal = { code: 'PB004', message: /^site_id: .* is not a site$/s };
    await t.rejects(value(`select message_bus.publish('/a', '0', site_id => $1)`, [site]), refusal);
    await t.rejects(value(`select message_bus.publish('/global/a', '0', site_id => $1)`, [site]), refusal);
    await t.rejects(value(`select message_bus.last_id('/a', $1)`, [site]), refusal);
    await t.rejects(value(`select message_bus.last_ids('{}', $1)`, [site]), refusal);
    await t.rejects(value(`select message_bus.backlog('/a', 0, $1)`, [site]), refusal);
    await t.rejects(value(`select message_bus.get_message('/a', 1, $1)`, [site]), refusal);
  }
  t.equal(await value(`select message_bus.publish('/a', '0', site_id => $1)`, ['😀'.repeat(255)]), 1);
});

t.test('NUL in text is refused by Postgres itself', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  await t.rejects(value(`select message_bus.publish('/a', '"\\u0000"')`), { code: '22P05' });
  await t.rejects(value('select message_bus.publish_many($1)', ['[{"channel": "/a", "data": "\\u0000"}]']), {
    code: '22P05',
  });
  await t.rejects(value(`select message_bus.publish('/a', $1)`, ['"\\ud800"']), { code: '22P02' });
  await t.rejects(value(`select message_bus.publish($1, '0')`, ['/\0']), { code: '22021' });
  await t.rejects(value(`select message_bus.publish('/a', 'not json')`), { code: '22P02' });
  t.equal(await value(`select message_bus.last_id('/a')`), 0);
});

t.test('what was refused has left nothing behind', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  await t.rejects(value(`select message_bus.publish('/a', '0', user_ids => '{}')`));
  t.equal(await value(`select message_bus.publish('/a', '0')`), 1);
  t.equal(await value('select global_id from message_bus.global_backlog()'), 1);
});
