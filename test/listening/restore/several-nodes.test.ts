import t from 'tap';
import { settingsPayload } from '../../../src/listening/payload.js';
import { Backup } from '../../helpers/backup.js';
import { eventsOf, openBus } from '../../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { listen, poll } from '../../helpers/server.js';
import { until } from '../../helpers/until.js';
import { publish, texts } from './readers.js';

// A client may be answered by any of several nodes, and be between two polls when a backup is restored.

/** What comes in on the bus's NOTIFY channel from now on. */
async function listenTo({ query, pool }: TestDatabase, teardown: (end: () => void) => void) {
  const [row] = await query<{ channel: string; key: Buffer; version: string }>(
    'select notify_channel as channel, notify_key as key, version from message_bus.settings',
  );
  if (!row) throw new Error('no settings');
  const payloads: string[] = [];
  const client = await pool.connect();
  client.on('notification', ({ payload = '' }) => payloads.push(payload));
  await client.query(`listen "${row.channel}"`);
  teardown(() => client.release(true));
  return { payloads, settings: settingsPayload({ version: Number(row.version) }, row.key) };
}

t.test(
  'another bus takes the place of this one: the node that finds out tells the others, who do not hear of it otherwise',
  async (t) => {
    const database = await createDatabase(t);
    const bus = openBus(t, database.url);
    await bus.subscribe('/a', () => {});
    await until(() => bus.isConnected, 'it listens');
    await database.query('alter schema message_bus rename to former');
    await until(() => !bus.isConnected, 'it notices');
    await openBus(t, database.url).migrate();
    await until(() => bus.isConnected, 'it goes on with the bus that is there');
    const told = eventsOf(bus);
    const { payloads, settings } = await listenTo(database, t.teardown);
    await database.query(
      'begin; alter schema message_bus rename to latter; alter schema former rename to message_bus; commit',
    );
    await until(() => payloads.includes(settings), 'it is told, in the words of the former bus');
    await until(() => told.includes('POSTBUS_ANOTHER_PAST') && bus.isConnected, 'the node goes on with the other one');
  },
);

for (const way of ['the schema is dropped and restored', 'tables are truncated and filled'] as const) {
  t.test(
    `a client that was between two polls when a backup was restored (${way}) misses nothing of what came since`,
    async (t) => {
      const database = await createDatabase(t);
      const backup = new Backup(database);
      const bus = openBus(t, database.url);
      const { url } = await listen(t, { bus });
      await publish(database, '/a', 'kept', 10);
      await backup.take();
      await publish(database, '/a', 'undone', 20);
      const { messages } = await poll(url, { '/a': 0 }, { client: 'between', dlp: true });
      t.equal(messages.length, 30);
      const told = eventsOf(bus);
      await until(() => bus.isConnected, 'it listens');
      await backup.restore(way);
      await publish(database, '/a', 'new', 5);
      await until(() => told.includes('POSTBUS_ANOTHER_PAST') && bus.isConnected, 'the node has found out');
      const next = await poll(url, { '/a': 30 }, { client: 'between', dlp: true });
      t.strictSame(
        next.messages.map(({ data }) => data),
        [...texts('new', 5), { '/a': 15 }],
      );
      const made = await poll(url, { '/a': 15 }, { client: 'between', dlp: true });
      t.strictSame(made.messages, [], 'and has all of it');
    },
  );
}
