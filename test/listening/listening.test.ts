import pg from 'pg';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../helpers/database.js';
import { createRole } from '../helpers/role.js';
import { listen, poll, stream, type WireMessage } from '../helpers/server.js';
import { until } from '../helpers/until.js';

/** A connection that hears what the nodes hear, but for their signs of life. */
async function eavesdrop(t: Test, database: TestDatabase) {
  const [state] = await database.query<{ channel: string }>(
    'select notify_channel as channel from message_bus.node_state()',
  );
  const channel = state?.channel ?? '';
  const client = new pg.Client(database.url);
  client.on('error', () => {});
  await client.connect();
  t.teardown(() => client.end());
  const payloads: string[] = [];
  client.on('notification', ({ payload = '' }) => {
    if (!payload.includes('\nkeepalive\t')) payloads.push(payload);
  });
  await client.query(`listen "${channel}"`);
  return { channel, payloads };
}

/** The data of the next messages of a stream, in however many frames they come. */
async function takeData(frames: AsyncGenerator<WireMessage[], void>, count: number): Promise<unknown[]> {
  const messages: WireMessage[] = [];
  while (messages.length < count) messages.push(...((await frames.next()).value ?? []));
  return messages.map(({ data }) => data);
}

t.test('notifications by others put nothing before a client, and deafen nobody', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const { url } = await listen(t, { bus });
  await until(() => bus.isConnected, 'the bus listens');
  const { channel, payloads } = await eavesdrop(t, database);
  const received: unknown[] = [];
  const all: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  await bus.subscribe(null, ({ data }) => all.push(data));
  const frames = stream(url, { '/a': 0 });
  await frames.next();
  await bus.publish('/a', 'real 1');
  await bus.publish('/a', 'real 2');
  await until(() => all.length === 2 && payloads.length === 2, 'all have the real ones');

  const [, old = ''] = payloads;
  const [head = '', line = ''] = old.split('\n');
  const fields = line.split('\t');
  const next = [Number(fields[0]) + 1, Number(fields[1]) + 1, ...fields.slice(2, 8), '"forged"'].join('\t');
  const forged = [
    '',
    ' ',
    '\n',
    'junk',
    '[1,2,3]',
    '{"channel":"/a","data":"forged"}',
    'x'.repeat(7_999),
    `1\t${'x'.repeat(7_997)}`,
    '1\t\n',
    '1\n',
    '1\t\n\t\t\t\t\t\t\t\t',
    '1\t\nsettings\t9',
    next,
    `${head}\n${next}`,
    `${old}\n${next}`,
    `1\t\n${next}`,
    `1\t${'0'.repeat(64)}\n${next}`,
    `2\t${head.split('\t')[1]}\n${line}`,
    `${head.slice(0, -1)}\n${line}`,
    old.replace('real 2', 'forged'),
  ];
  // Whoever may connect can NOTIFY; the name of the channel must have leaked, though.
  const { url: strangersUrl } = await createRole(t, database);
  const stranger = new pg.Client(strangersUrl);
  await stranger.connect();
  t.teardown(() => stranger.end());
  const replayed = [...payloads].reverse();
  for (const payload of [...forged, ...replayed]) await stranger.query('select pg_notify($1, $2)', [channel, payload]);
  const sent = forged.length + replayed.length;
  await until(() => payloads.length === 2 + sent, 'they have arrived');
  await bus.publish('/a', 'real 3');
  await until(() => received.length >= 3 && all.length >= 3, 'the next real one came');
  t.strictSame(await takeData(frames, 3), ['real 1', 'real 2', 'real 3']);

  // The same when the bus has just begun to listen, and cannot know how far the others are.
  await database.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'postbus listener' and datname = current_database()`,
  );
  await until(() => !bus.isConnected, 'the listener is away');
  await until(() => bus.isConnected, 'it is back');
  const before = payloads.length;
  for (const payload of [...replayed, ...forged]) await stranger.query('select pg_notify($1, $2)', [channel, payload]);
  await until(() => payloads.length === before + sent, 'they have arrived');
  const late: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => late.push(data), { lastId: 0 });
  await bus.publish('/a', 'real 4');
  await until(() => [received, all, late].every((list) => list.at(-1) === 'real 4'), 'the next real one came');
  const real = ['real 1', 'real 2', 'real 3', 'real 4'];
  t.strictSame({ received, all, late }, { received: real, all: real, late: real });
  t.strictSame(await takeData(frames, 1), ['real 4']);
  await frames.return();

  t.strictSame(
    bus.log.filter((line) => line.message.includes('notifications')),
    [{ level: 'warn', message: 'ignored notifications that are not from this bus', details: { count: 1 } }],
    'warned of once a minute',
  );
});

t.test('payloads of any size', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const { url } = await listen(t, { bus });
  await until(() => bus.isConnected, 'the bus listens');
  const received: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  const frames = stream(url, { '/a': 0 });
  await frames.next();
  const ways: Record<string, (data: string) => Promise<unknown>> = {
    'publish() in SQL': (data) => database.query(`select message_bus.publish('/a', $1)`, [JSON.stringify(data)]),
    'publish_many() in SQL': (data) =>
      database.query('select message_bus.publish_many($1)', [JSON.stringify([{ channel: '/a', data }])]),
    'bus.publish()': (data) => bus.publish('/a', data),
  };
  let id = 0;
  for (const size of [1, 1_800, 1_900, 7_700, 7_800, 7_900, 7_999, 8_000, 100_000, 1_000_000]) {
    for (const [way, publish] of Object.entries(ways)) {
      // With the quotes of JSON, so many bytes: é is two.
      const data = size === 1 ? '' : `é${'x'.repeat(size - 4)}`;
      const polled = poll(url, { '/a': id }, { client: 'polling' });
      await until(() => internalsOf(bus).dispatcher.counts.cursors === 3, 'all wait');
      await publish(data);
      id++;
      const expected: Partial<WireMessage>[] = [{ message_id: id, data }];
      await until(() => received.length === id, 'the subscriber has it');
      const got = [received.at(-1), (await polled).messages, (await frames.next()).value];
      t.match(got, [data, expected, expected], `${size} bytes by ${way}`);
    }
  }
  await frames.return();
});
