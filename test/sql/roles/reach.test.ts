import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { createGrantee, createRole } from '../../helpers/role.js';
import { openSession } from '../session.js';

const publishers = ['publish', 'publish_many', 'publish_later', 'publish_batch'];

/** Each way to publish one message, or two, with these limits. */
function ways(limits: string): [string, string][] {
  const json = limits.replace(/(\w+) => (\d+)/g, '"$1":$2');
  return [
    ['', `select message_bus.publish('/a', '1', ${limits})`],
    ['', `select message_bus.publish_later('/a', '1', ${limits})`],
    ['', `select message_bus.publish_batch('[{"channel":"/a","data":1,${json}}]')`],
    [
      'messages[1].',
      `select message_bus.publish_batch('[{"channel":"/a","data":1},{"channel":"/a","data":1,${json}}]')`,
    ],
    ['messages[0].', `select message_bus.publish_many('[{"channel":"/a","data":1,${json}}]')`],
  ];
}

t.test('sizes and ages above the caps are refused on every way to publish, and the caps can be raised', async (t) => {
  const { url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  const refused = async (limits: string, message: string) => {
    for (const [place, way] of ways(limits))
      await t.rejects(value(way), { code: 'PB003', message: `${place}${message}` }, way);
  };
  const size = 'max_backlog_size: must be 100000 or less, which is the backlog_size_cap, not';
  await refused('max_backlog_size => 100001', `${size} 100001`);
  await refused('max_backlog_size => 2147483647', `${size} 2147483647`);
  await refused(
    'max_backlog_age => 31536001',
    'max_backlog_age: must be 31536000 or less, which is the backlog_age_cap, not 31536001',
  );
  t.equal(await value('select count(*) from message_bus.channels'), 0);
  for (const [, way] of ways('max_backlog_size => 100000, max_backlog_age => 31536000')) await value(way);
  await value('select message_bus.configure(backlog_size_cap => 100001, backlog_age_cap => 31536001)');
  for (const [, way] of ways('max_backlog_size => 100001, max_backlog_age => 31536001')) await value(way);
  await t.rejects(value('select message_bus.configure(backlog_size_cap => 999)'), {
    code: 'PB003',
    message: 'backlog_size_cap: must be 1000 or more, which is the max_backlog_size, not 999',
  });
  await t.rejects(value('select message_bus.configure(backlog_age_cap => 10)'), { code: 'PB003' });
  await value('select message_bus.configure(max_backlog_size => 200000)');
  t.ok(
    await value(`select message_bus.publish('/a', '1', max_backlog_size => 200000)`),
    'the bus-wide size is never beyond',
  );
});

t.test('a role that may publish needs a right of its own for a size below the bus-wide one', async (t) => {
  const { database, role, url } = await createGrantee(t, publishers);
  const stranger = await openSession(t, url);
  await database.query(`select message_bus.publish('/a', to_jsonb(i)) from generate_series(1, 20) i`);
  const refusal = (place: string) => ({
    code: 'PB008',
    message: `${place}max_backlog_size: 1 is below the bus-wide 1000, and ${role} may not shrink backlogs`,
    hint: new RegExp(`grant execute on function message_bus.shrink_backlogs to ${role}`),
  });
  for (const [place, way] of ways('max_backlog_size => 1')) await t.rejects(stranger.value(way), refusal(place), way);
  // A function of the application does not lend its owner's right.
  await database.query(`create function wipe() returns bigint language sql security definer
    as $$ select message_bus.publish('/a', '0', max_backlog_size => 1) $$`);
  await t.rejects(stranger.value('select wipe()'), refusal(''));
  const [before] = await database.query(`select count(*)::int from message_bus.backlog('/a')`);
  t.equal(before?.count, 20);
  for (const [, way] of ways('max_backlog_size => 1000')) await stranger.value(way);

  await database.query(`grant execute on function message_bus.shrink_backlogs to ${role}`);
  for (const [, way] of ways('max_backlog_size => 1')) {
    await stranger.value(way);
    const [after] = await database.query(`select count(*)::int from message_bus.backlog('/a')`);
    t.equal(after?.count, 1, way);
  }
});

t.test('bus.publish() is told with a code of what its role may not do', async (t) => {
  const { database, role, url } = await createGrantee(t, ['publish_batch', 'held_channels']);
  const bus = openBus(t, url);
  const sizes = [undefined, 5, 200_000, 2_000].map((maxBacklogSize) => bus.publish('/a', 1, { maxBacklogSize }));
  t.match(await Promise.allSettled(sizes), [
    { value: 1 },
    { reason: { code: 'POSTBUS_MAY_NOT_SHRINK', statusCode: 403, message: /shrink_backlogs/ } },
    { reason: { code: 'POSTBUS_BEYOND_CAP', statusCode: 400, message: /backlogSizeCap/ } },
    { value: 2 },
  ]);
  await database.query(`grant execute on function message_bus.shrink_backlogs to ${role}`);
  t.equal(await bus.publish('/a', 1, { maxBacklogSize: 5 }), 3);
});

t.test(
  'publish_changes() with a small size takes the right of the owner of the table, not of who writes to it',
  async (t) => {
    const functions = ['publish_changes', 'stop_publishing_changes', 'change_function', 'change_mark', 'publish_rows'];
    const { database, role, url } = await createGrantee(t, functions);
    const writer = await createRole(t, database);
    await database.query(`create schema app authorization ${role}; grant usage on schema app to ${writer.role}`);
    const owner = await openSession(t, url);
    await owner.client.query(`create table app.notes (id int); grant insert on app.notes to ${writer.role}`);
    const stranger = await openSession(t, writer.url);
    for (const via of ['publish', 'publish_later']) {
      const announce = (size: number) =>
        owner.value(
          `select message_bus.publish_changes('app.notes', '/notes/${via}', via => '${via}', max_backlog_size => ${size})`,
        );
      const count = async () =>
        (await database.query(`select count(*)::int from message_bus.backlog('/notes/${via}')`))[0]?.count;
      await database.query(`revoke execute on function message_bus.shrink_backlogs from ${role}`);
      await t.rejects(announce(2), { code: 'PB008', message: new RegExp(`${role} may not shrink`) });
      await t.rejects(announce(2_000_000), { code: 'PB003' });
      await announce(1_000);
      await stranger.value('insert into app.notes select generate_series(1, 5)');
      t.equal(await count(), 5);
      await database.query(`grant execute on function message_bus.shrink_backlogs to ${role}`);
      await announce(2);
      await stranger.value('insert into app.notes select generate_series(1, 5)');
      t.equal(await count(), 2);
      // A trigger that was made with what was allowed then goes on working.
      await announce(1_000);
      await database.query('select message_bus.configure(max_backlog_size => 1100)');
      await stranger.value('insert into app.notes values (1)');
      t.equal(await count(), 3);
      await database.query('select message_bus.configure(max_backlog_size => 1000)');
    }
  },
);

t.test('what was queued with a size is published with it, whoever publishes it', async (t) => {
  const { query, url } = await createDatabase(t);
  const { value } = await openSession(t, url);
  await value('select message_bus.configure(relay => true)');
  await value(
    `select message_bus.publish_later('/a', to_jsonb(i), max_backlog_size => 3) from generate_series(1, 9) i`,
  );
  await value('select message_bus.configure(backlog_size_cap => 1000)');
  await query(`select message_bus.relay('node')`);
  t.equal(await value(`select count(*) from message_bus.backlog('/a')`), 3);
});
