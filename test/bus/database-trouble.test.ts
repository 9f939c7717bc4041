import pg from 'pg';
import t from 'tap';
import { codedError } from '../../src/database/coded-error.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listenAndLog } from '../helpers/logging-server.js';
import { createRole } from '../helpers/role.js';
import { poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

/** An error as Postgres sends it. */
function raised(code: string, message: string, routine = ''): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError(message, 0, 'error'), { code, message, routine, severity: 'ERROR' });
}

t.test('what is no fault of the caller has a code of its own and status 503', async (t) => {
  const expected: [string, string, string, string?][] = [
    ['25006', 'cannot execute INSERT in a read-only transaction', 'READ_ONLY'],
    ['25006', 'cannot execute LISTEN during recovery', 'READ_ONLY'],
    [
      '55000',
      'cannot acquire lock mode RowExclusiveLock on database objects while recovery is in progress',
      'READ_ONLY',
    ],
    ['53100', 'could not extend file "base/5/16384": No space left on device', 'DISK_FULL'],
    ['53000', 'out of file descriptors: Too many open files', 'OUT_OF_RESOURCES'],
    ['53200', 'out of shared memory', 'OUT_OF_RESOURCES'],
    ['53300', 'sorry, too many clients already', 'TOO_MANY_CONNECTIONS'],
    ['53400', 'temporary file size exceeds "temp_file_limit" (64kB)', 'OUT_OF_RESOURCES'],
    ['54000', 'too many notifications in the NOTIFY queue', 'NOTIFY_QUEUE_FULL', 'PreCommit_Notify'],
    ['54000', 'zu viele Benachrichtigungen in NOTIFY-Schlange', 'NOTIFY_QUEUE_FULL', 'PreCommit_Notify'],
    ['57014', 'canceling statement due to statement timeout', 'CANCELED'],
    ['55P03', 'canceling statement due to lock timeout', 'CANCELED'],
    ['25P03', 'terminating connection due to idle-in-transaction timeout', 'CANCELED'],
    ['25P04', 'terminating connection due to transaction timeout', 'CANCELED'],
    ['40001', 'could not serialize access due to concurrent update', 'CANCELED'],
    ['40003', 'statement completion unknown', 'CONNECTION_LOST'],
    ['57P05', 'terminating connection due to idle-session timeout', 'CONNECTION_LOST'],
    ['42704', 'type "messages" does not exist', 'NO_SCHEMA'],
    ['57P04', 'database "x" was dropped', 'NO_DATABASE'],
    ['57P03', 'the database system is not accepting connections', 'NO_SERVER'],
    ['55000', 'database "x" is not currently accepting connections', 'NO_SERVER', 'CheckMyDatabase'],
    ['58030', 'could not read file "base/5/16384": Input/output error', 'STORAGE_FAILED'],
    ['58P01', 'could not open file "base/5/16384": No such file or directory', 'STORAGE_FAILED'],
    ['XX001', 'invalid page in block 0 of relation base/5/16384', 'STORAGE_FAILED'],
  ];
  for (const [state, message, code, routine] of expected) {
    const error = raised(state, message, routine);
    t.match(codedError(error, 'message_bus'), { code: `POSTBUS_${code}`, statusCode: 503, cause: error }, message);
  }
  for (const [state, message] of [
    ['54000', 'array size exceeds the maximum allowed'],
    ['55000', 'currval of sequence "a" is not yet defined in this session'],
    ['XX000', 'invalid memory alloc request size'],
    ['P0001', 'no'],
  ] as const) {
    t.match(
      codedError(raised(state, message), 'message_bus'),
      { code: 'POSTBUS_QUERY_FAILED', statusCode: 500 },
      message,
    );
  }
});

t.test('a database that became read-only is read, and publishes again as soon as it takes changes', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  await bus.publish('/a', 1);
  const become = async (isReadOnly: string) => {
    await database.query(`alter database ${database.name} set default_transaction_read_only = ${isReadOnly}`);
    await database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'postbus' and datname = current_database()`,
    );
    await until(async () => (await bus.backlog('/a').catch(() => [])).length > 0, 'its connections are new');
  };
  await become('on');
  const refused = { code: 'POSTBUS_READ_ONLY', statusCode: 503, message: /primary/ };
  const outcomes = await Promise.allSettled([1, 2, 3].map((n) => bus.publish('/a', n)));
  for (const outcome of outcomes) t.match(outcome, { status: 'rejected', reason: refused });
  await t.rejects(bus.reset(), refused);
  t.match(await bus.backlog('/a'), [{ data: 1 }]);
  await database.pool.query(
    `begin read write; alter database ${database.name} reset default_transaction_read_only; commit`,
  );
  await become('off');
  t.equal(await bus.publish('/a', 2), 2);
});

t.test('a role that has all the connections that it may have', async (t) => {
  const database = await createDatabase(t);
  const { role, url } = await createRole(t, database);
  await database.query(`alter role ${role} connection limit 1`);
  const client = new pg.Client(url);
  await client.connect();
  const bus = openBus(t, url);
  await t.rejects(bus.publish('/a', 1), {
    code: 'POSTBUS_TOO_MANY_CONNECTIONS',
    statusCode: 503,
    message: new RegExp(role),
  });
  await client.end();
});

t.test('a statement_timeout of the role: polls answer its code, and the log has it once', async (t) => {
  const database = await createDatabase(t);
  const { role, url } = await createRole(t, database);
  await database.query(`grant usage on schema message_bus to ${role}`);
  await database.query(`grant execute on all functions in schema message_bus to ${role}`);
  await database.query(`alter role ${role} set statement_timeout = '200ms'`);
  const bus = openBus(t, url);
  await bus.publish('/a', 1);
  const server = await listenAndLog(t, { bus });
  await database.query(
    `create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(20); return new; end'`,
  );
  await database.query(
    'create trigger slow before insert on message_bus.messages for each row execute function slow()',
  );
  await t.rejects(bus.publish('/b', 1), { code: 'POSTBUS_CANCELED', statusCode: 503, message: /statement timeout/ });
  await database.query('alter function message_bus.read_channels rename to really_read_channels');
  await database.query(`create function message_bus.read_channels(sites text[], channel_names text[], after_ids bigint[])
    returns setof int language plpgsql as 'begin perform pg_sleep(20); end'`);
  await database.query(`grant execute on function message_bus.read_channels to ${role}`);
  const answers = await Promise.all(
    [1, 2, 3].map((n) => poll(server.url, { [`/${n}`]: 0 }, { client: `${n}`, dlp: true })),
  );
  for (const { status, text } of answers) t.match([status, JSON.parse(text)], [503, { code: 'POSTBUS_CANCELED' }]);
  t.match(server.logged, [{ msg: 'a poll failed', err: { code: 'POSTBUS_CANCELED' } }]);
  t.equal(server.logged.length, 1);
});

t.test('channels that cannot be read are told of once a minute, however many they are', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const received: unknown[] = [];
  for (let n = 1; n <= 20; n++) await bus.subscribe(`/${n}`, ({ data }) => received.push(data));
  const read = `message_bus.read_channels(text[], text[], bigint[])`;
  await database.query(`alter function ${read} rename to hidden`);
  // Too large for a notification: it has to be read.
  const large = 'x'.repeat(10_000);
  await Promise.all(Array.from({ length: 20 }, (_, i) => bus.publish(`/${i + 1}`, large)));
  await until(() => bus.log.length > 0, 'it is told');
  await database.query('alter function message_bus.hidden rename to read_channels');
  await until(() => received.length === 20, 'all came in the end');
  t.match(bus.log, [
    { level: 'warn', message: /^reading a backlog failed/, details: { err: { code: 'POSTBUS_NO_SCHEMA' } } },
  ]);
  t.equal(bus.log.length, 1);
});
