import { createHash } from 'node:crypto';
import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { createGrantee } from '../../helpers/role.js';
import { SteadyPublisher } from '../../helpers/steady-publisher.js';
import { until } from '../../helpers/until.js';
import { openSession } from '../../sql/session.js';

interface State {
  channel: string;
  key: Buffer;
}

async function stateOf({ query }: TestDatabase): Promise<State> {
  const [row] = await query<State>('select notify_channel as channel, notify_key as key from message_bus.settings');
  if (!row) throw new Error('no settings');
  return row;
}

function sign(lines: string, { key }: State): string {
  const inner = createHash('sha256').update(key).update(lines).digest();
  return `1\t${createHash('sha256').update(key).update(inner).digest('hex')}\n${lines}`;
}

t.test('the key is rotated under load: nodes follow, nothing is lost, the old key is not believed', async (t) => {
  const database = await createDatabase(t);
  const buses = [openBus(t, database.url), openBus(t, database.url)];
  const received = buses.map(() => [] as unknown[]);
  for (const [i, bus] of buses.entries()) {
    await bus.subscribe('/a', ({ messageId, data }) => received[i]?.push([messageId, data]), { lastId: 0 });
  }
  const publishers = [1, 2, 3].map(() => new SteadyPublisher(t, database.url, '/a'));
  const states: State[] = [];
  for (let round = 0; round < 4; round++) {
    await Promise.all(publishers.map((publisher) => publisher.more(10)));
    states.push(await stateOf(database));
    await database.query('select message_bus.rotate_key()');
  }
  await Promise.all(publishers.map((publisher) => publisher.more(10)));
  await Promise.all(publishers.map((publisher) => publisher.stop()));
  const stored = await database.query<{ id: number; data: unknown }>(
    `select message_id::int as id, data from message_bus.backlog('/a')`,
  );
  const expected = stored.map(({ id, data }) => [id, data]);
  await until(() => received.every((list) => list.length >= expected.length), 'all of it has come');
  for (const list of received) t.strictSame(list, expected);
  const newest = await stateOf(database);
  t.equal(new Set([...states, newest].map(({ channel }) => channel)).size, 5, 'another channel each time');
  t.equal(new Set([...states, newest].map(({ key }) => key.toString('hex'))).size, 5, 'and another key');
  await until(() => buses.every((bus) => bus.isConnected), 'all listen');
  for (const bus of buses) {
    t.match(bus.log[0], { details: { err: { code: 'POSTBUS_KEY_ROTATED' } } });
  }

  const [globalId, id] = [10_000, expected.length + 1];
  for (const state of states) {
    const payload = sign(`${globalId}\t${id}\t\t/a\t0\t1\t9007199254740991\t\t"forged"`, state);
    for (const channel of [state.channel, newest.channel])
      await database.query('select pg_notify($1, $2)', [channel, payload]);
  }
  await database.query(`select message_bus.publish('/a', '"real"')`);
  await until(() => received.every((list) => list.length > expected.length), 'the real one has come');
  for (const list of received) t.strictSame(list.slice(expected.length), [[id, 'real']]);
});

t.test('a node that missed the last word finds out', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const received: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  await until(() => bus.isConnected, 'it listens');
  await database.query(
    `update message_bus.settings set notify_channel = 'message_bus_other', notify_key = sha256('other')`,
  );
  await database.query(`select message_bus.publish('/a', '1')`);
  await until(() => received.length === 1, 'it has followed');
  t.match(bus.log, [{ details: { err: { code: 'POSTBUS_KEY_ROTATED' } } }]);
});

t.test('only the owner may rotate the key', async (t) => {
  const { url } = await createGrantee(t, ['node_state', 'publish', 'global_backlog']);
  const session = await openSession(t, url);
  await t.rejects(session.value('select message_bus.rotate_key()'), { code: '42501' });
});

t.test('notifications that are signed but make no sense are passed over, and what they told of is read', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const received: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  await until(() => bus.isConnected, 'it listens');
  const state = await stateOf(database);
  const notify = (lines: string) => database.query('select pg_notify($1, $2)', [state.channel, sign(lines, state)]);
  // A message of which no notification tells, but one that makes no sense.
  await database.query(`begin; set local session_replication_role = replica; alter table message_bus.messages disable trigger announce;
    select message_bus.publish('/a', '"silent"'); update message_bus.messages set global_id = 1;
    insert into message_bus.global_ring select 0, 1, array[id], '{1}' from message_bus.channels;
    select setval('message_bus.newest_global_id', 1); alter table message_bus.messages enable always trigger announce; commit`);
  for (const lines of [
    'NaN\t1\t\t/a\t0\t1\t0\t\t"x"',
    '',
    'later\t1',
    '2\t2\t\t/a\t0\t1\t0\t[1]\t"x"',
    '2\t2\t\t/a\t0\t1\t0\t\t{',
  ])
    await notify(lines);
  await until(() => received.length === 1, 'it was read');
  await database.query(`select message_bus.publish('/a', '"real"')`);
  await until(() => received.length === 2, 'the next one comes');
  t.strictSame(received, ['silent', 'real']);
  t.equal(bus.isConnected, true);
  t.match(bus.log, [{ message: /signed but make no sense/, details: { count: 1 } }]);
});

t.test('a notification that got lost is noticed, and its message read', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const received: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  await until(() => bus.isConnected, 'it listens');
  // Notified on a channel that nobody listens to.
  await database.query(`begin; update message_bus.settings set notify_channel = notify_channel || 'x';
    select message_bus.publish('/a', '"lost"'); set constraints all immediate;
    update message_bus.settings set notify_channel = left(notify_channel, -1); commit`);
  await until(() => received.length === 1, 'it was read');
  t.strictSame(received, ['lost']);
  t.strictSame(bus.log, []);
});
