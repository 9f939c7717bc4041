import t from 'tap';
import { codedError } from '../../../src/database/coded-error.js';
import type { Bus } from '../../../src/index.js';
import { openBus } from '../../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { documentedFunctions } from '../../helpers/documented-roles.js';
import { createRole, grantTypes } from '../../helpers/role.js';
import { listen, poll } from '../../helpers/server.js';
import { until } from '../../helpers/until.js';
import { openSession, type Session } from '../session.js';

async function grant(database: TestDatabase, role: string, functions: string[]): Promise<void> {
  await database.query(`grant usage on schema message_bus to ${role}`);
  for (const name of functions) await database.query(`grant execute on function ${name} to ${role}`);
}

const publish = `select message_bus.publish('/a', '"from a stranger"')`;

t.test('a role that may only publish can do that, and read nothing', async (t) => {
  const database = await createDatabase(t);
  const { role, url } = await createRole(t, database);
  await database.query(`select message_bus.publish('/secret', '"secret"')`);
  const session = await openSession(t, url);
  await t.rejects(session.value(publish), { code: '42501' }, 'not before it is granted');
  await database.query(`grant usage on schema message_bus to ${role}`);
  await t.rejects(session.value(publish), { code: '42501' }, 'nor with the schema alone');
  await database.query(`grant execute on function message_bus.publish to ${role}`);
  t.equal(await session.value(publish), 1);

  const functions = await database.query<{ name: string; call: string; may: boolean }>(
    `select p.oid::regprocedure::text as name, has_function_privilege($1, p.oid, 'execute') as may,
      format('select %s(%s)', p.oid::regproc, (select string_agg(format('null::%s', replace(format_type(a, null), 'anycompatiblearray', 'int')), ', ') from unnest(p.proargtypes) a)) as call
    from pg_proc p where p.pronamespace = 'message_bus'::regnamespace`,
    [role],
  );
  t.ok(functions.length > 20);
  t.strictSame(
    functions.filter(({ may }) => may).map(({ name }) => name.replace(/\(.*/, '')),
    ['message_bus.publish'],
  );
  for (const { name, call } of functions.filter(({ may }) => !may))
    await t.rejects(session.value(call), { code: '42501' }, name);

  const relations = await database.query<{ name: string }>(
    `select oid::regclass::text as name from pg_class where relnamespace = 'message_bus'::regnamespace and relkind in ('r', 'S', 'v')`,
  );
  t.ok(relations.length >= 7);
  for (const { name } of relations) {
    for (const statement of [
      `select from ${name}`,
      `delete from ${name}`,
      `truncate ${name}`,
      `insert into ${name} default values`,
    ])
      await t.rejects(session.value(statement), { code: /^(42501|42809)$/ }, statement);
  }
  await t.rejects(session.value('create table message_bus.mine ()'), { code: '42501' });
  await t.rejects(session.value('alter function message_bus.publish reset all'), { code: '42501' });
  await t.rejects(
    session.value('create trigger mine after insert on message_bus.messages execute function announce()'),
    {
      code: '42501',
    },
  );
});

t.test('a publisher does not learn where nodes listen, whatever it has Postgres tell it', async (t) => {
  const database = await createDatabase(t);
  const { role, url } = await createRole(t, database);
  await grant(database, role, ['message_bus.publish', 'message_bus.publish_many', 'message_bus.publish_later']);
  const bus = openBus(t, database.url);
  await bus.subscribe('/a', () => {});
  const [secret] = await database.query<{ name: string; key: Buffer }>(
    'select notify_channel as name, notify_key as key from message_bus.node_state()',
  );
  if (!secret) throw new Error('no secret');

  const session = await openSession(t, url);
  const told: string[] = [];
  session.client.on('notice', ({ message = '', detail = '' }) => told.push(message, detail));
  for (const setting of ['debug_print_parse', 'debug_print_rewritten', 'debug_print_plan', 'trace_notify'])
    await session.client.query(`set ${setting} = on`);
  await session.client.query('set client_min_messages = debug5');
  await session.client.query('set constraints all immediate');
  await session.value(publish);
  await session.value(`select message_bus.publish_many('[{"channel": "/a", "data": 1}]')`);
  await session.value(`select message_bus.publish_later('/a', '1')`);
  await session.client.query('begin; set constraints all immediate');
  await session.value(publish);
  await session.client.query('commit');
  await session.client.query('reset client_min_messages');
  // Plans are printed with their constants as signed bytes, over several lines.
  const everything = told.join(' ').replace(/\s+/g, ' ');
  t.match(everything, 'PLANNEDSTMT', 'Postgres does tell a lot');
  const bytes = (of: Buffer) => [...new Int8Array(of)].join(' ');
  t.notOk(everything.includes(secret.name) || everything.includes(bytes(Buffer.from(secret.name))), 'the name');
  t.notOk(everything.includes(secret.key.toString('hex')) || everything.includes(bytes(secret.key)), 'the key');

  t.strictSame(await session.column('select pg_listening_channels()'), []);
  const statements = await session.column('select query from pg_stat_activity');
  t.notOk(statements.join().includes(secret.name), 'statements of others');
  t.strictSame(await session.column(`select * from pg_stats where schemaname = 'message_bus'`), []);
});

t.test('what a publisher puts first in its search path is not used by the functions', async (t) => {
  const database = await createDatabase(t);
  const { role, url } = await createRole(t, database);
  await grant(database, role, ['message_bus.publish', 'message_bus.shrink_backlogs']);
  await grantTypes(database, role);
  await database.query(`grant create on database ${database.name} to ${role}`);
  const session = await openSession(t, url);
  await shadowEverything(session, database);
  await session.client.query('set search_path = mine, pg_temp, pg_catalog, message_bus');
  await t.rejects(session.value(`select 'a'::text operator(mine.||) 'b'::text`), { message: /hijacked/ });
  await t.rejects(session.value(`select is_channel('/a')`), { message: /hijacked/ }, 'ours come first');

  t.equal(await session.value(`select message_bus.publish('/a', '1')`), 1);
  t.equal(
    await session.value(`select message_bus.publish('/a', '2', '{u}', '{g}', '{c}', 's', 5, 60)`),
    1,
    'every argument',
  );
  await session.client.query('begin; set constraints all immediate');
  t.equal(
    await session.value(`select message_bus.publish('/a', '3', max_backlog_size => 5000)`),
    2,
    'a ring that grows',
  );
  await session.client.query('commit; set session characteristics as transaction isolation level serializable');
  t.equal(await session.value(`select message_bus.publish('/a', '4', max_backlog_size => 2)`), 3, 'and shrinks');
  await t.rejects(session.value(`select message_bus.publish('__a', '4')`), { code: 'PB001' });
  await t.rejects(session.value(`select message_bus.publish('/a', '4', user_ids => '{}')`), { code: 'PB002' });
  for (const table of ['bus', 'settings', 'channels', 'messages', 'global_ring'])
    for (const schema of ['mine', 'pg_temp'])
      t.strictSame(await session.column(`select from ${schema}.${table}`), [], `${schema}.${table} stays empty`);
  t.strictSame(await database.query('select data from message_bus.global_backlog() order by global_id'), [
    { data: 2 },
    { data: 3 },
    { data: 4 },
  ]);
});

/** Makes, in a schema of the session's own and among its temporary tables, one of each thing that the functions use. */
async function shadowEverything({ client }: Session, database: TestDatabase): Promise<void> {
  await client.query('create schema mine');
  const hijack = `language plpgsql as $$ begin raise exception 'hijacked as %', current_user; end $$`;
  // Any tables of theirs, with the same columns.
  for (const table of ['bus', 'settings', 'channels', 'messages', 'global_ring']) {
    const [row] = await database.query<{ columns: string }>(
      `select string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' order by attnum) as columns
      from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped`,
      [`message_bus.${table}`],
    );
    await client.query(`create table mine.${table} (${row?.columns}); create temp table ${table} (${row?.columns})`);
  }
  await client.query('create sequence mine.newest_global_id; create temp sequence newest_global_id');
  const ours = await database.query<{ header: string }>(
    `select format('%I(%s) returns %s', proname,
        (select string_agg(format_type(a, null), ', ') from unnest(proargtypes) a), case when prorettype = 'trigger'::regtype then 'trigger' else 'bool' end) as header
      from pg_proc where pronamespace = 'message_bus'::regnamespace`,
  );
  for (const { header } of ours) await client.query(`create function mine.${header} ${hijack}`);
  for (const header of [
    'pg_notify(text, text) returns void',
    'clock_timestamp() returns timestamptz',
    'make_interval(int, int, int, int, int, int, double precision) returns interval',
    'pg_sequence_last_value(regclass) returns bigint',
    'setval(regclass, bigint) returns bigint',
    'octet_length(text) returns int',
    'pg_column_size(jsonb) returns int',
    'length(text) returns int',
    'starts_with(text, text) returns bool',
  ])
    await client.query(`create function mine.${header} ${hijack}`);
  const operators = {
    text: ['=', '<>', '||', '!~'],
    int: ['=', '<', '%', '+', '-', '*'],
    bigint: ['=', '<', '%', '+', '-', '<='],
  };
  for (const [type, names] of Object.entries(operators)) {
    await client.query(`create function mine.hijack_${type}(${type}, ${type}) returns ${type} ${hijack}`);
    await client.query(`create function mine.hijack_${type}_test(${type}, ${type}) returns bool ${hijack}`);
    for (const name of names) {
      const hand = /[=<>~]/.test(name) ? `hijack_${type}_test` : `hijack_${type}`;
      await client.query(
        `create operator mine.${name} (leftarg = ${type}, rightarg = ${type}, function = mine.${hand})`,
      );
    }
  }
}

t.test('a publisher can hold up the bus: what it is not to do, roles do not forbid', async (t) => {
  const database = await createDatabase(t);
  const { role, url } = await createRole(t, database);
  await grant(database, role, await documentedFunctions('publisher'));
  const [publisher, other] = [await openSession(t, url), await openSession(t, database.url)];
  await publisher.client.query('begin; set constraints all immediate');
  await publisher.value(publish);
  await other.client.query(`set lock_timeout = '100ms'`);
  await t.rejects(other.value(`select message_bus.publish('/b', '1')`), { code: '55P03' });
  await publisher.client.query('commit');
  t.equal(await other.value(`select message_bus.publish('/b', '1')`), 1);
  t.strictSame(await other.column('select global_id from message_bus.global_backlog()'), [1, 2]);
});

t.test('the role of readers reads, and changes nothing', async (t) => {
  const database = await createDatabase(t);
  const { role, url } = await createRole(t, database);
  await grant(database, role, await documentedFunctions('reader'));
  await database.query(publish);
  const session = await openSession(t, url);
  t.equal(await session.value(`select message_bus.last_id('/a')`), 1);
  t.strictSame(await session.value(`select message_bus.last_ids('{/a,/b}')`), [1, 0]);
  t.strictSame(await session.column(`select data from message_bus.backlog('/a')`), ['from a stranger']);
  t.strictSame(await session.column('select data from message_bus.global_backlog()'), ['from a stranger']);
  t.equal(await session.value(`select (message_bus.get_message('/a', 1)).data`), 'from a stranger');
  for (const call of [
    'publish',
    'publish_many',
    'configure',
    'expire_all_backlogs',
    'reset',
    'node_state',
    'keepalive',
  ])
    t.equal(
      await session.value(
        `select bool_or(has_function_privilege(oid, 'execute')) from pg_proc where proname = $1 and pronamespace = 'message_bus'::regnamespace`,
        [call],
      ),
      false,
      call,
    );
});

t.test('the role of nodes runs a bus with the plugin', async (t) => {
  const database = await createDatabase(t);
  const { role, url } = await createRole(t, database);
  await grant(database, role, await documentedFunctions('node'));
  const bus = openBus(t, url);
  await bus.connect();
  const heard: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => heard.push(data), { lastId: 0 });
  await bus.subscribe(null, ({ data }) => heard.push(data), { lastId: 0 });
  t.equal(await bus.publish('/a', 'x'), 1);
  await until(() => heard.length === 2, 'both subscribers were called');
  t.equal(await bus.lastId('/a'), 1);
  t.equal((await bus.backlog('/a')).length, 1);
  t.equal((await bus.globalBacklog()).length, 1);
  t.equal((await bus.lastMessage('/a'))?.data, 'x');
  t.equal((await bus.getMessage('/a', 1))?.data, 'x');

  const { app, url: server } = await listen(t, { bus });
  t.match((await poll(server, { '/a': -1 })).messages, [{ channel: '/__status', data: { '/a': 1 } }]);
  t.match((await poll(server, { '/a': 0 })).messages, [{ message_id: 1, data: 'x' }]);
  const parked = poll(server, { '/a': 1 });
  await database.query(publish);
  t.match((await parked).messages, [{ message_id: 2, data: 'from a stranger' }]);
  t.strictSame(bus.log, []);

  for (const change of [() => bus.configure({ clearEvery: 1 }), () => bus.expireAllBacklogs(), () => bus.reset()])
    await t.rejects(change(), { code: 'POSTBUS_NO_PERMISSION' });
  await bus.migrate();
  await database.query('drop function message_bus.migrated_by');
  await t.rejects(bus.migrate(), { code: 'POSTBUS_NO_PERMISSION' }, 'there is something to migrate');
  await app.close();
});

/** Publishes through a bus what another transaction is in the way of, for a while. */
async function publishToHeld(database: TestDatabase, bus: Bus): Promise<unknown> {
  const client = await database.pool.connect();
  await client.query(`begin; ${publish}`);
  const held = bus.publish('/a', 1);
  const free = bus.publish('/b', 1).finally(async () => {
    await client.query('rollback');
    client.release();
  });
  return Promise.all([held, free]);
}

function coded(call: Promise<unknown>): Promise<unknown> {
  return call.catch((error) => {
    throw codedError(error, 'message_bus');
  });
}

t.test('each right of the role of nodes is needed', async (t) => {
  const database = await createDatabase(t);
  const { role, url } = await createRole(t, database);
  const functions = await documentedFunctions('node');
  await grant(database, role, functions);
  const bus = openBus(t, url);
  const session = await openSession(t, url);
  await bus.publish('/a', 1);
  const uses: Record<string, () => Promise<unknown>> = {
    node_state: () => bus.connect(),
    node_ready: () => coded(session.value(`select message_bus.node_ready('{}', '{}')`)),
    publish_batch: () => bus.publish('/a', 1),
    held_channels: () => publishToHeld(database, bus),
    // What a bus makes of these is tested with its keepalives and diagnostics.
    keepalive: () => coded(session.value(`select message_bus.keepalive('node', gen_random_uuid())`)),
    diagnostics: () => coded(session.value('select message_bus.diagnostics()')),
    relay: () => coded(session.value(`select message_bus.relay('node')`)),
    read_channels: () => bus.backlog('/a'),
    read_heads: () => bus.lastId('/a'),
    // What a bus makes of it is tested with restores.
    find_places: () => coded(session.value(`select message_bus.find_places('{}', '{}', '{}', '{}', '{}', 0)`)),
    read_global: () => bus.globalBacklog(),
    read_message: () => bus.getMessage('/a', 1),
    shrink_backlogs: () => coded(session.value(`select message_bus.shrink_backlogs('{}', 'publish', 'fail', 'test')`)),
  };
  t.strictSame(
    functions.sort(),
    Object.keys(uses)
      .map((name) => `message_bus.${name}`)
      .sort(),
  );
  for (const [name, use] of Object.entries(uses)) {
    await use();
    await database.query(`revoke execute on function message_bus.${name} from ${role}`);
    await t.rejects(use(), { code: 'POSTBUS_NO_PERMISSION', message: new RegExp(name) }, name);
    await database.query(`grant execute on function message_bus.${name} to ${role}`);
  }
  await database.query(`revoke usage on schema message_bus from ${role}`);
  for (const [name, use] of Object.entries(uses)) await t.rejects(use(), { code: 'POSTBUS_NO_PERMISSION' }, name);
});
