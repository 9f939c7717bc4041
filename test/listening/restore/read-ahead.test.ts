import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { PollingClient } from '../../helpers/polling-client.js';
import { range } from '../../helpers/recorded-client.js';
import { listen, poll, stream, type WireMessage } from '../../helpers/server.js';
import { until } from '../../helpers/until.js';
import { publish, startReaders, texts } from './readers.js';

// Channels that are deleted are another past. Readers who read the tables get what is published then before their node has
// found that out, and before the notification comes.

/** Keeps nodes from finding out that the past is another one; publishing and reading go on. */
async function blindNodes({ pool }: TestDatabase): Promise<() => Promise<void>> {
  const client = await pool.connect();
  await client.query('begin; lock table message_bus.relaying');
  return async () => {
    await client.query('commit');
    client.release();
  };
}

const isMessage = ({ channel }: WireMessage) => channel === '/a';

t.test('what is read before the node finds out that channels were deleted does not come again', async (t) => {
  const database = await createDatabase(t);
  const readers = await startReaders(t, database);
  const { url } = await listen(t, { bus: readers.bus });
  await publish(database, '/a', 'old', 10);
  await readers.untilAllHave('old 10');
  const letSee = await blindNodes(database);
  await database.query('delete from message_bus.channels');
  await publish(database, '/a', 'new', 20);

  const { messages } = await poll(url, { '/a': 10 }, { client: 'read', dlp: true });
  t.strictSame(
    messages.map(({ data }) => data),
    texts('new', 20),
  );
  const parked = poll(url, { '/a': 30 }, { client: 'parked' });
  const streamed: WireMessage[] = [];
  const hangUp = new AbortController();
  const streaming = (async () => {
    for await (const frame of stream(url, { '/a': 10 }, { client: 'streaming', signal: hangUp.signal }))
      streamed.push(...frame.filter(isMessage));
  })().catch(() => {});
  const subscribed: unknown[] = [];
  await readers.bus.subscribe('/a', ({ data }) => subscribed.push(data), {
    lastId: 10,
    onGap: (gap) => subscribed.push(gap),
  });
  await until(() => streamed.length === 20 && subscribed.length === 20, 'they have read');
  await letSee();

  await readers.untilAllHave('new 20');
  await until(() => readers.warnings().length === 1 && readers.bus.isConnected, 'the node has found out');
  await publish(database, '/a', 'later', 1);
  await until(() => streamed.length > 20 && subscribed.length > 20, 'what is published then comes');
  for (const list of [streamed.map(({ data }) => data), subscribed])
    t.strictSame(list, [...texts('new', 20), 'later 1']);
  t.strictSame(
    (await parked).messages.filter(isMessage).map(({ data }) => data),
    ['later 1'],
  );
  hangUp.abort();
  await streaming;
});

t.test('channels are deleted again and again, at any moment: polls get what follows, once', async (t) => {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const { url } = await listen(t, { bus });
  const own: number[] = [];
  await bus.subscribe('/a', ({ messageId }) => own.push(messageId));
  await until(() => bus.isConnected, 'it listens');
  const clients = range(1, 6).map(
    (i) =>
      new PollingClient({
        id: `${i}`,
        urls: [url],
        channels: { '/a': 0 },
        modes: i % 2 === 0 ? ['short', 'long'] : ['short', 'long', 'stream'],
        isRestless: true,
      }),
  );
  t.teardown(() => Promise.all(clients.map((client) => client.stop())));
  for (let last = 0; last < 30; last += 5) {
    const areThere = () => own.length === last && clients.every((client) => client.position('/a') === last);
    await until(areThere, `all are at ${last}`);
    await database.query('delete from message_bus.channels');
    await delay(Math.random() * 30);
    await publish(database, '/a', 'new', 2);
    await delay(Math.random() * 30);
    await publish(database, '/a', 'new', 3);
  }
  await until(() => clients.every((client) => client.position('/a') === 30), 'all have come to the end');
  await Promise.all(clients.map((client) => client.stop()));
  for (const { received, faults } of clients) {
    t.strictSame(received.get('/a'), range(1, 30));
    // As long as nothing is published in it again, the channel has no ids.
    t.strictSame(
      faults.filter((fault) => !fault.startsWith('/a: moved back')),
      [],
    );
  }
  t.strictSame(own, range(1, 30));
});
