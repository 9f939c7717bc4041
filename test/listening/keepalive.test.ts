import { randomUUID } from 'node:crypto';
import pg from 'pg';
import t, { type Test } from 'tap';
import { eventsOf, openBus } from '../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../helpers/database.js';
import { startDeafProxy } from '../helpers/deaf-proxy.js';
import { createGrantee } from '../helpers/role.js';
import { until } from '../helpers/until.js';

const keepaliveInterval = 50;

/** What is sent to the nodes, by kind. */
async function eavesdrop(t: Test, database: TestDatabase) {
  const [state] = await database.query<{ channel: string; key: Buffer }>(
    'select notify_channel as channel, notify_key as key from message_bus.node_state()',
  );
  const client = new pg.Client(database.url);
  client.on('error', () => {});
  await client.connect();
  t.teardown(() => client.end());
  const keepalives: string[] = [];
  client.on('notification', ({ payload = '' }) => {
    if (payload.includes('\nkeepalive\t')) keepalives.push(payload);
  });
  await client.query(`listen "${state?.channel}"`);
  return { keepalives, channel: state?.channel };
}

t.test('a bus that hears itself goes on as it is, and leaves no trace of it', async (t) => {
  const database = await createDatabase(t);
  const { keepalives } = await eavesdrop(t, database);
  const bus = openBus(t, database.url, { keepaliveInterval });
  const received: unknown[] = [];
  const told = eventsOf(bus);
  await bus.subscribe(null, ({ data }) => received.push(data));
  const [first] = await bus.publish('/a', 'first').then(() => database.query('select * from message_bus.bus'));
  await until(() => keepalives.length >= 10, 'it has sent ten');
  t.strictSame(await database.query('select * from message_bus.bus'), [first], 'no id was taken');
  await bus.publish('/a', 'last');
  await until(() => received.length === 2, 'messages come');
  t.strictSame(received, ['first', 'last']);
  // A machine so busy that none comes back in time would be another matter.
  if (told.length === 1) t.strictSame(bus.log, []);
  t.equal(told[0], 'connected');
});

t.test('a bus that does not hear itself says so, and connects until it does', async (t) => {
  const database = await createDatabase(t);
  const proxy = await startDeafProxy(t, database.url);
  const bus = openBus(t, proxy.url, { keepaliveInterval });
  const told = eventsOf(bus);
  bus.events.prependListener('disconnected', () => {
    throw new Error('a listener of its own');
  });
  const received: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  await until(() => bus.isConnected, 'it listens');
  await bus.publish('/a', 1);
  await until(() => received.length === 1, 'it hears');

  proxy.isDeaf = true;
  await until(() => !bus.isConnected, 'it notices');
  const before = proxy.swallowed;
  await bus.publish('/a', 2);
  await until(() => received.length === 2, 'with each new connection it catches up');
  await until(() => proxy.swallowed > before + 8, 'it has tried several');
  t.equal(bus.isConnected, false, 'none of which it takes for good');
  t.equal(told.at(-1), 'POSTBUS_DEAF');
  const outages = told.length;

  proxy.isDeaf = false;
  await until(() => bus.isConnected, 'it hears again');
  t.equal(told.length, outages + 1, 'one outage, whatever was tried');
  t.equal(told.at(-1), 'connected');
  await bus.publish('/a', 3);
  await until(() => received.length === 3, 'messages come');
  t.strictSame(received, [1, 2, 3]);
  const warned = bus.log.filter(({ level }) => level === 'warn');
  t.match(warned.at(-1), { message: 'connected again: messages arrive here' });
  t.match(warned.at(-2), {
    message: 'not listening to Postgres; trying again',
    details: { err: { code: 'POSTBUS_DEAF', message: /150 ms/ } },
  });
  t.match(
    bus.log.find(({ level }) => level === 'error'),
    { message: 'a listener of bus.events failed', details: { err: { message: 'a listener of its own' } } },
  );
});

t.test('closing is told, once, where it is news', async (t) => {
  const { url } = await createDatabase(t);
  const [used, off, unused] = [openBus(t, url), openBus(t, url), openBus(t, url)];
  const told = [used, off, unused].map(eventsOf);
  await Promise.all([used.connect(), off.connect()]);
  await until(() => used.isConnected && off.isConnected, 'they listen');
  off.off();
  for (const bus of [used, off, unused]) await Promise.all([bus.close(), bus.close()]);
  t.strictSame(told, [['connected', 'POSTBUS_CLOSED'], ['connected', 'POSTBUS_OFF'], []]);
});

t.test('neither the keepalives of others nor old ones count as its own', async (t) => {
  const database = await createDatabase(t);
  const proxy = await startDeafProxy(t, database.url);
  const other = openBus(t, database.url, { keepaliveInterval });
  await other.connect();
  const { keepalives, channel } = await eavesdrop(t, database);
  const bus = openBus(t, proxy.url, { keepaliveInterval });
  await bus.connect();
  await until(() => bus.isConnected && keepalives.length > 10, 'both have sent some');
  const old = [...keepalives];
  // It hears what others send, but nothing that it has sent itself.
  await database.query(
    `create or replace function message_bus.keepalive(node text, beat uuid) returns void language sql as ''`,
  );
  const sending = setInterval(() => {
    for (const payload of old) database.query('select pg_notify($1, $2)', [channel, payload]).catch(() => {});
  }, 20);
  t.teardown(() => clearInterval(sending));
  await until(() => !bus.isConnected && !other.isConnected, 'they notice');
  clearInterval(sending);
  t.notOk(
    bus.log.some(({ message }) => message.includes('not from this bus')),
    'they are no forgeries, though',
  );
});

t.test('a role that may not send keepalives is warned, once, and works', async (t) => {
  const { database, role, url } = await createGrantee(t, [
    'node_state',
    'read_channels',
    'read_heads',
    'publish_batch',
    'keepalive',
  ]);
  await database.query(`revoke execute on function message_bus.keepalive from ${role}`);
  const bus = openBus(t, url, { keepaliveInterval: 20 });
  const received: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  const warnings = () => bus.log.filter(({ message }) => message === 'could not send a keepalive');
  await until(() => warnings().length > 0, 'it is warned');
  for (let i = 1; i <= 100; i++) {
    await bus.publish('/a', i);
    await until(() => received.length === i, 'messages come');
  }
  t.match(warnings(), [{ level: 'warn', details: { err: { code: 'POSTBUS_NO_PERMISSION' } } }]);
  await until(() => bus.isConnected, 'it is as ready as without');
});

t.test('no message can be signed with a keepalive', async (t) => {
  const database = await createDatabase(t);
  const { keepalives } = await eavesdrop(t, database);
  const bus = openBus(t, database.url, { keepaliveInterval: 0 });
  const received: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  await until(() => bus.isConnected, 'it listens');
  const line = '1\t1\t\t/a\t\t"forged"';
  const call = 'select message_bus.keepalive($1, $2)';
  await database.query(call, [`x\n${line}\n`, randomUUID()]);
  await database.query(call, ['é\u2028\x7f\t', randomUUID()]);
  await database.query(call, ['x'.repeat(10_000), randomUUID()]);
  await database.query(call, [null, randomUUID()]);
  await t.rejects(database.query(call, ['x', `${randomUUID()}\n${line}`]), { code: '22P02' });
  await until(() => keepalives.length === 3, 'they have arrived');
  for (const payload of keepalives) t.match(payload, /^1\t[0-9a-f]{64}\nkeepalive\t[0-9a-f-]{36}\t[!-~]{0,200}$/);
  await bus.publish('/a', 'real');
  await until(() => received.length > 0, 'the real one came');
  t.strictSame(received, ['real']);
  t.strictSame(bus.log, []);
});

t.test('an interval that makes no sense', async (t) => {
  for (const keepaliveInterval of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.throws(() => openBus(t, 'postgres://nobody@127.0.0.1:1/none', { keepaliveInterval }), {
      code: 'POSTBUS_BAD_OPTION',
      message: /^keepaliveInterval: /,
    });
  }
});
