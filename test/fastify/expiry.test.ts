import t from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { type Mode, PollingClient } from '../helpers/polling-client.js';
import { listen, poll, stream } from '../helpers/server.js';
import { until } from '../helpers/until.js';

t.test('clients that are connected while all is dropped, again and again, get what comes after', async (t) => {
  const { url: database, query } = await createDatabase(t);
  const buses = [openBus(t, database), openBus(t, database)];
  const [bus] = buses;
  if (!bus) throw new Error('no bus');
  const urls = await Promise.all(buses.map(async (each) => (await listen(t, { bus: each })).url));
  const modes: Mode[][] = [['short'], ['long'], ['stream'], ['short', 'long', 'stream']];
  const clients = modes.map(
    (modes, i) =>
      new PollingClient({ id: `c${i}`, urls, channels: { '/a': 0, '/quiet': 0 }, modes, isRestless: i === 3 }),
  );
  t.teardown(() => Promise.all(clients.map((client) => client.stop())));
  t.equal(await bus.publish('/quiet', 0), 1);
  const drops = [
    () => bus.expireAllBacklogs(),
    () => bus.reset(),
    () => query('select message_bus.expire_all_backlogs()'),
    () => query('select message_bus.reset()'),
  ];
  for (let round = 0; round < 20; round++) {
    for (let i = 1; i <= 5; i++) t.equal(await bus.publish('/a', round), 10 * round + i, 'no id is given again');
    await drops[round % drops.length]?.();
    for (let i = 6; i <= 10; i++) await bus.publish('/a', round);
    for (const client of clients) {
      await until(() => client.position('/a') === 10 * (round + 1), 'a client has what came after');
      const ids = client.received.get('/a') ?? [];
      t.strictSame(
        ids.slice(-5),
        [6, 7, 8, 9, 10].map((i) => 10 * round + i),
        'all of it',
      );
      t.strictSame(
        ids,
        [...new Set(ids)].sort((a, b) => a - b),
        'each once, in order',
      );
      t.strictSame(client.faults, []);
    }
  }
  t.equal(await bus.publish('/quiet', 1), 2, 'neither where nobody published meanwhile');
  for (const client of clients) await until(() => client.position('/quiet') === 2, 'it arrives');
});

t.test('those that wait are not disturbed; those that come back from long ago start with what is there', async (t) => {
  const { url: database } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, { bus });
  for (let i = 1; i <= 3; i++) await bus.publish('/a', i);
  const parked = poll(url, { '/a': 3 });
  const frames = stream(url, { '/a': 3 }, { client: 'stream' });
  t.strictSame((await frames.next()).value, []);
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 2, 'both wait');
  await bus.reset();
  t.equal(internalsOf(bus).dispatcher.counts.cursors, 2, 'both still wait');
  const old = await poll(url, { '/a': 1 }, { client: 'old', dlp: true });
  t.strictSame(old.messages, [], 'nothing is left');
  t.equal(await bus.publish('/a', 4), 4);
  t.match((await parked).messages, [{ message_id: 4, data: 4 }]);
  t.match((await frames.next()).value, [{ message_id: 4, data: 4 }]);
  await frames.return();
  const back = await poll(url, { '/a': 1 }, { client: 'old', dlp: true });
  t.match(back.messages, [{ message_id: 4, data: 4 }]);
  // From before the database was made anew, as it seems.
  const beyond = await poll(url, { '/a': 400 }, { client: 'old', dlp: true });
  t.match(beyond.messages, [{ channel: '/__status', data: { '/a': 4 } }]);
});
