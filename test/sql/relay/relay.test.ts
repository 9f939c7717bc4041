import t, { type Test } from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { until } from '../../helpers/until.js';
import { openSession, openSessions, type Session } from '../session.js';

const later = (channel: string, data: string) => `select message_bus.publish_later('${channel}', '${data}')`;

async function createRelayed(t: Test): Promise<TestDatabase> {
  const database = await createDatabase(t);
  await database.query(
    'select message_bus.configure(relay => true, max_backlog_size => 100000, max_global_backlog_size => 100000)',
  );
  return database;
}

/** Asks as a node does, until nothing more comes of it. */
async function relay({ value }: Session, node = 'one'): Promise<unknown> {
  for (;;) {
    const part = await value('select part from message_bus.relay($1)', [node]);
    if (part !== 'busy') return part;
  }
}

function contents({ column }: Session): Promise<unknown[]> {
  return column('select data from message_bus.global_backlog()');
}

t.test('with the relay on, what is put down waits for a node, and the commit touches no counter', async (t) => {
  const { url } = await createRelayed(t);
  const [own, holder, node] = await openSessions(t, url, 3);
  if (!own || !holder || !node) throw new Error('too few sessions');
  // Whoever gives out ids would have to wait for this one.
  await holder.client.query(`begin; select message_bus.publish_many('[{"channel": "/a", "data": 0}]')`);
  await own.client.query(`set lock_timeout = '50ms'`);
  await own.client.query(`begin; ${later('/a', '1')}; ${later('/b', '2')}; commit`);
  await own.client.query(`begin; ${later('/a', '"gone"')}; rollback`);
  await own.client.query(`begin isolation level serializable; select * from message_bus.backlog('/a')`);
  await own.client.query(later('/a', '3'));
  await holder.client.query('commit');
  await own.client.query('commit');
  await own.client.query(`begin; ${later('/a', '4')}; prepare transaction 'relayed'`);
  await own.client.query(`commit prepared 'relayed'`);
  t.strictSame(await contents(node), [0]);
  t.match(await node.rows('select relay, waiting, oldest, node, seen_at from message_bus.relay_state()'), [
    { relay: true, waiting: 4, node: null, seen_at: null },
  ]);
  t.equal(await relay(node), 'idle');
  t.strictSame(await contents(node), [0, 1, 2, 3, 4]);
  t.match(
    await node.rows(
      'select waiting, oldest, node, seen_at > now() - $1::interval as seen from message_bus.relay_state()',
      ['1 min'],
    ),
    [{ waiting: 0, oldest: null, node: 'one', seen: true }],
  );
});

t.test('a transaction that commits late is not passed over', async (t) => {
  const { url } = await createRelayed(t);
  const [late, own, node] = await openSessions(t, url, 3);
  if (!late || !own || !node) throw new Error('too few sessions');
  await late.client.query(`begin; ${later('/a', '1')}`);
  await own.client.query(later('/a', '2'));
  await relay(node);
  t.strictSame(await contents(node), [2]);
  await late.client.query('commit');
  await relay(node);
  t.strictSame(await contents(node), [2, 1]);
});

t.test('channels that open transactions hold, new ones too, hold up none but themselves', async (t) => {
  const { url } = await createRelayed(t);
  const [holder, own, node] = await openSessions(t, url, 3);
  if (!holder || !own || !node) throw new Error('too few sessions');
  await own.value(`select message_bus.publish('/held', '"first"')`);
  await holder.client.query(`begin; select message_bus.publish('/held', '1'), message_bus.publish('/new', '1')`);
  // More than makes a batch, before anything else.
  await own.client.query(`select message_bus.publish_later('/held', to_jsonb(i)) from generate_series(2, 2500) i`);
  await own.client.query(
    `${later('/new', '2')}; ${later('/free', '0')}; ${later('/new', '3')}; ${later('/free', '1')}`,
  );
  t.equal(await relay(node), 'idle');
  t.strictSame(await node.column(`select data from message_bus.backlog('/free')`), [0, 1]);
  t.match(await node.rows('select waiting from message_bus.relay_state()'), [{ waiting: 2501 }]);
  await holder.client.query('commit');
  await relay(node);
  t.strictSame(await node.column(`select data from message_bus.backlog('/new')`), [1, 2, 3]);
  t.strictSame(await node.column(`select data from message_bus.backlog('/held')`), [
    'first',
    ...Array.from({ length: 2500 }, (_, i) => i + 1),
  ]);
});

for (const others of [[], ['/free']]) {
  t.test(`messages wait for a channel before somebody holds it, and for ${others.length} others`, async (t) => {
    const { url } = await createRelayed(t);
    const [holder, own, node] = await openSessions(t, url, 3);
    if (!holder || !own || !node) throw new Error('too few sessions');
    await own.client.query(later('/held', '2'));
    for (const channel of others) await own.client.query(later(channel, '0'));
    await holder.client.query(`begin; select message_bus.publish('/held', '1')`);
    // Whoever begins to relay writes down how far it has come.
    for (const name of ['one', 'two', 'three']) {
      await node.client.query(`update message_bus.relaying set seen_at = '-infinity'`);
      t.equal(await relay(node, name), 'idle');
      t.match(await node.rows('select waiting from message_bus.relay_state()'), [{ waiting: 1 }]);
    }
    await holder.client.query('commit');
    await relay(node, 'three');
    t.strictSame(await node.column(`select data from message_bus.backlog('/held')`), [1, 2]);
  });
}

t.test('one node relays at a time; another takes over when it is not heard of', async (t) => {
  const { url } = await createRelayed(t);
  const [one, two] = await openSessions(t, url, 2);
  if (!one || !two) throw new Error('too few sessions');
  t.equal(await relay(one, 'one'), 'idle');
  await two.client.query(later('/a', '1'));
  t.equal(await relay(two, 'two'), 'other');
  t.equal(await relay(one, 'one'), 'idle');
  t.strictSame(await contents(two), [1]);
  await until(async () => (await relay(two, 'two')) === 'idle', 'the other one is given up');
  t.equal(await relay(one, 'one'), 'other');

  // A batch that is under way is not joined, however long it takes.
  await two.client.query(later('/a', '2'));
  await two.client.query('begin');
  t.equal(await two.value(`select part from message_bus.relay('two')`), 'idle');
  t.equal(await relay(one, 'one'), 'other');
  await two.client.query('commit');
  await until(async () => (await relay(one, 'one')) === 'idle', 'it is given up too');
  t.strictSame(await contents(one), [1, 2]);
});

t.test(
  'after the clock of the database was set back, another node takes over at once, and no time is in the future',
  async (t) => {
    const { url, query } = await createRelayed(t);
    const [one, two] = await openSessions(t, url, 2);
    if (!one || !two) throw new Error('too few sessions');
    await two.client.query(later('/a', '1'));
    await query(`update message_bus.relaying set node = 'dead', seen_at = clock_timestamp() + interval '1 hour'`);
    await query(`update message_bus.relay_outbox set put_down_at = clock_timestamp() + interval '1 hour'`);
    t.match(
      await one.rows(`select oldest::text, seen_at <= clock_timestamp() as is_past from message_bus.relay_state()`),
      [{ oldest: '00:00:00', is_past: true }],
    );
    t.equal(await two.value(`select part from message_bus.relay('two')`), 'idle');
    t.strictSame(await contents(one), [1]);
    // The one that relayed before finds that it does no longer, and a lease of its own from the future is renewed.
    t.equal(await one.value(`select part from message_bus.relay('dead')`), 'other');
    await query(`update message_bus.relaying set seen_at = clock_timestamp() + interval '1 hour'`);
    t.equal(await two.value(`select part from message_bus.relay('two')`), 'idle');
    t.strictSame(await query(`select seen_at > clock_timestamp() as ahead from message_bus.relaying`), [
      { ahead: false },
    ]);
  },
);

t.test('of two nodes that find the right up for grabs at the same time, one gets it', async (t) => {
  const { url, query } = await createRelayed(t);
  const [one, two] = await openSessions(t, url, 2);
  if (!one || !two) throw new Error('too few sessions');
  const pid = await two.value('select pg_backend_pid()');
  let part: unknown;
  do {
    await query(`update message_bus.relaying set node = 'dead', seen_at = '-infinity'`);
    // The other one may look, but not yet lock.
    await one.client.query('begin; lock table message_bus.relaying in exclusive mode');
    const asked = relay(two, 'two').catch((error) => error.code);
    await until(async () => {
      const [row] = await query('select cardinality(pg_blocking_pids($1)) > 0 as waits', [pid]);
      return row?.waits === true;
    }, 'the other one has found it');
    t.equal(await relay(one, 'one'), 'idle');
    await one.client.query('commit');
    part = await asked;
    // It waits for half a second only.
  } while (part === '55P03');
  t.equal(part, 'other');
});

t.test('where a dump is restored, what is put down is found whatever its transaction', async (t) => {
  const { url, query } = await createRelayed(t);
  const own = await openSession(t, url);
  await query(`insert into message_bus.relay_outbox (xid, channel, data) values ('8000000000', '/a', '1')`);
  await query(`update message_bus.relaying set from_xid = '8000000000'`);
  await own.client.query(later('/a', '2'));
  t.equal(await own.value('select waiting from message_bus.relay_state()'), 2);
  await relay(own);
  await own.client.query(later('/a', '3'));
  await relay(own);
  t.strictSame((await contents(own)).toSorted(), [1, 2, 3]);
});

t.test('a relay that ends in the middle of a batch has published none of it', async (t) => {
  const { url } = await createRelayed(t);
  const [one, two] = await openSessions(t, url, 2);
  if (!one || !two) throw new Error('too few sessions');
  await two.client.query(`${later('/a', '1')}; ${later('/b', '2')}`);
  await one.client.query('begin');
  t.equal(await one.value(`select part from message_bus.relay('one')`), 'idle');
  t.equal(await one.value(`select message_bus.last_id('/b')`), 1);
  t.equal(await relay(two, 'two'), 'other');
  await one.client.query('rollback');
  t.equal(await relay(two, 'two'), 'idle');
  t.strictSame(await contents(two), [1, 2]);
});

t.test('turning it off publishes what waits, also where no node runs', async (t) => {
  const { url } = await createRelayed(t);
  const [own, open] = await openSessions(t, url, 2);
  if (!own || !open) throw new Error('too few sessions');
  await own.client.query(`select message_bus.publish_later('/a', to_jsonb(i)) from generate_series(1, 2500) i`);
  await open.client.query(`begin; ${later('/a', '"late"')}`);
  await own.value('select message_bus.configure(relay => false)');
  await own.client.query(later('/a', '2501'));
  const numbers = Array.from({ length: 2501 }, (_, i) => i + 1);
  t.strictSame(await contents(own), numbers);

  await open.client.query('commit');
  t.match(await own.rows('select relay, waiting from message_bus.relay_state()'), [{ relay: false, waiting: 1 }]);
  const bus = openBus(t, url);
  await bus.subscribe('/a', () => {});
  await until(async () => (await contents(own)).length === 2502, 'a node finds what came late');
  t.equal(await relay(own), 'off');
});

t.test('batches are bounded by what they hold', async (t) => {
  const { url } = await createRelayed(t);
  const own = await openSession(t, url);
  // Of what does not compress.
  await own.client.query(
    `select message_bus.publish_later('/a', (select to_jsonb(string_agg(md5(i::text || j), '')) from generate_series(1, 32000) j)) from generate_series(1, 10) i`,
  );
  t.equal(await own.value(`select part from message_bus.relay('one')`), 'busy');
  const first = Number(await own.value(`select message_bus.last_id('/a')`));
  t.ok(first > 1 && first < 10, `${first} of 10`);
  await relay(own);
  t.equal(await own.value(`select message_bus.last_id('/a')`), 10);
});
