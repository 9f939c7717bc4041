import t from 'tap';
import { createDatabase } from '../../helpers/database.js';
import { createRole } from '../../helpers/role.js';
import { openSession } from '../session.js';

/** Numbers of 131,061 digits, which take 16 bytes each in jsonb. */
const digits = (count: number) => `[${Array(count).fill('1.123456789012e131060').join(',')}]`;
const letters = (bytes: number) => `to_jsonb(repeat('a', ${bytes - 2}))`;
const mebibyte = 1_048_576;
const tooLarge = (argument: string) => ({
  code: 'PB007',
  message: new RegExp(`^${argument}: has \\d+ bytes of text or more, and max_data_size is ${mebibyte}$`),
});

t.test(
  'data whose text is longer than max_data_size is refused on every way to publish, and nothing is stored',
  async (t) => {
    const { url } = await createDatabase(t);
    const { value } = await openSession(t, url);
    const item = (data: string) => `jsonb_build_object('channel', '/a', 'data', ${data})`;
    const ways: [string, (data: string) => string][] = [
      ['data', (data) => `select message_bus.publish('/a', ${data})`],
      ['data', (data) => `select message_bus.publish('/a', ${data}, user_ids => '{7}')`],
      ['data', (data) => `select message_bus.publish_later('/a', ${data})`],
      ['data', (data) => `select message_bus.publish_later('/a', ${data}, client_ids => '{7}')`],
      ['data', (data) => `select message_bus.publish_batch(jsonb_build_array(${item(data)}))`],
      [
        'messages\\[1\\]\\.data',
        (data) => `select message_bus.publish_batch(jsonb_build_array(${item('1')}, ${item(data)}))`,
      ],
      ['messages\\[0\\]\\.data', (data) => `select message_bus.publish_many(jsonb_build_array(${item(data)}))`],
      [
        'messages\\[2\\]\\.data',
        (data) => `select message_bus.publish_many(jsonb_build_array(${item('1')}, ${item('2')}, ${item(data)}))`,
      ],
    ];
    const large = [letters(mebibyte + 1), `'${digits(9)}'::jsonb`];
    const peculiar = [
      `to_jsonb(repeat(chr(1), 200000))`,
      `to_jsonb(repeat('é', 600000))`,
      `jsonb_build_object(repeat('k', 1100000), 1)`,
      // Small in jsonb, of each size that is looked at in another way.
      ...[40, 100, 2_000, 4_500].map((count) => `'${digits(count)}'::jsonb`),
      `jsonb_build_object('deep', jsonb_build_array(jsonb_build_object('deeper', '${digits(20)}'::jsonb)))`,
      `(select jsonb_agg('1'::numeric(1000, 999)) from generate_series(1, 1100))`,
      `(select jsonb_agg(1) from generate_series(1, 400000))`,
    ];
    for (const [i, [argument, way]] of ways.entries())
      for (const data of i === 0 ? [...large, ...peculiar] : large)
        await t.rejects(value(way(data)), tooLarge(argument), `${way('…')} ${data.slice(0, 60)}`);
    t.equal(await value('select count(*) from message_bus.channels'), 0);

    for (const [, way] of ways) await value(way(letters(mebibyte)));
    t.equal(await value(`select max(octet_length(data::text)) from message_bus.backlog('/a')`), mebibyte);
  },
);

t.test('what was refused has not made anybody wait: the text of 500 MB is not made', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  await value(`set statement_timeout = '20s'`);
  await t.rejects(value(`select message_bus.publish('/x', to_jsonb(repeat(chr(1), 100000000)))`), tooLarge('data'));
  await t.rejects(value(`select message_bus.publish('/x', $1)`, [digits(4_500)]), tooLarge('data'));
  await t.rejects(
    value(`select message_bus.publish('/x', (select jsonb_agg('${digits(100)}'::jsonb) from generate_series(1, 200)))`),
    tooLarge('data'),
  );
});

t.test('max_data_size counts from the next publication on, and can be 1 byte to 64 MiB', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  t.equal(await value('select max_data_size from message_bus.configuration()'), mebibyte);
  await value('select message_bus.configure(max_data_size => 10)');
  t.equal(await value('select max_data_size from message_bus.configuration()'), 10);
  const refused = { code: 'PB007', message: 'data: has 11 bytes of text or more, and max_data_size is 10' };
  t.equal(await value(`select message_bus.publish('/a', '"12345678"')`), 1);
  await t.rejects(value(`select message_bus.publish('/a', '"123456789"')`), refused);
  await t.rejects(value(`select message_bus.publish('/a', '[12, 34, 5]')`), refused);
  await t.rejects(value(`select message_bus.publish_later('/a', '"123456789"')`), refused);
  t.strictSame(
    await value(
      `select message_bus.publish_many('[{"channel":"/a","data":"12345678"},{"channel":"/b","data":[1,2,3]}]')`,
    ),
    [2, 1],
  );
  await t.rejects(
    value(`select message_bus.publish_many('[{"channel":"/a","data":1},{"channel":"/a","data":"123456789"}]')`),
    {
      code: 'PB007',
      message: 'messages[1].data: has 11 bytes of text or more, and max_data_size is 10',
    },
  );
  await value('select message_bus.configure(max_data_size => 67108864)');
  t.equal(await value(`select message_bus.publish('/a', ${letters(mebibyte + 1)})`), 3);
  for (const size of [0, -1, 67_108_865])
    await t.rejects(value(`select message_bus.configure(max_data_size => ${size})`), {
      code: 'PB003',
      message: /^max_data_size: must be /,
    });
});

t.test('ids of targets have at most 1 MiB together', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  for (const list of ['user_ids', 'group_ids', 'client_ids']) {
    for (const ids of [`array[repeat('a', 1048577)]`, `array(select 'user ' || i from generate_series(1, 150000) i)`]) {
      const refused = { code: 'PB002', message: new RegExp(`^${list}: the ids have more than 1048576 bytes`) };
      await t.rejects(value(`select message_bus.publish('/a', '1', ${list} => ${ids})`), refused);
      await t.rejects(value(`select message_bus.publish_later('/a', '1', ${list} => ${ids})`), refused);
    }
    await value(
      `select message_bus.publish('/a', '1', ${list} => array(select 'user ' || i from generate_series(1, 50000) i))`,
    );
  }
});

t.test(
  'an INSERT of too large a row, by a role that may only insert, fails; with on_error warn its message is left out',
  async (t) => {
    const database = await createDatabase(t);
    const { role, url } = await createRole(t, database);
    await database.query(`create table notes (id int, body text); grant insert on notes to ${role}`);
    const stranger = await openSession(t, url);
    const named = /^data: has .* max_data_size is 1048576 \(trigger notes_changes_insert on public\.notes\)$/;
    for (const via of ['publish', 'publish_later']) {
      await database.query(`select message_bus.publish_changes('notes', '/notes', via => '${via}')`);
      const insert = `insert into notes select i, repeat(chr(1), case i when 2 then 300000 else 3 end) from generate_series(1, 3) i`;
      await t.rejects(stranger.value(insert), { code: 'PB007', message: named });
      await database.query(
        `select message_bus.publish_changes('notes', '/notes', via => '${via}', on_error => 'warn')`,
      );
      await stranger.value(insert);
    }
    await database.query(`select message_bus.publish_changes('notes', '/notes')`);
    await t.rejects(stranger.value('insert into notes values (1, repeat(chr(1), 95000000))'), {
      code: 'PB007',
      message: named,
    });
    const { value } = await openSession(t, database.url);
    t.strictSame(
      await value(`select array_agg((data -> 'row' ->> 'id')::int) from message_bus.backlog('/notes')`),
      [1, 3, 1, 3],
    );
  },
);

t.test('the relay puts aside at once all that is too large, and publishes the rest', async (t) => {
  const { query } = await createDatabase(t);
  await query('select message_bus.configure(relay => true)');
  // Small enough to pass where it is put down, and what was put down before there was a limit.
  await query(
    `select message_bus.publish_later('/a', case when i % 10 = 3 then '${digits(12)}' else to_jsonb(i) end) from generate_series(1, 100) i`,
  );
  await query(
    `insert into message_bus.relay_outbox (channel, data) select '/a', ${letters(mebibyte + 1)} from generate_series(1, 5)`,
  );
  const [row] = await query(`select * from message_bus.relay('node')`);
  t.match(row, { part: 'idle', refused: 15 });
  const [counts] = await query(`select count(*)::int as published from message_bus.backlog('/a')`);
  t.equal(counts?.published, 90);
  const reasons = await query('select distinct sqlstate, error from message_bus.refusals');
  t.strictSame(reasons, [{ sqlstate: 'PB007', error: 'data: has more bytes of text than max_data_size' }]);
});
