import t from 'tap';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const count = 7;
const ids = Array.from({ length: count }, (_, i) => i + 1);

t.test('a backlog of more than a page comes in pages: none lost, none twice, in order', async (t) => {
  const { url: databaseUrl } = await createDatabase(t);
  const bus = openBus(t, databaseUrl);
  const { url } = await listen(t, { bus });
  const large = 'x'.repeat(300_000);
  for (const id of ids) await bus.publish('/large', { id, large });
  await bus.publish('/small', 1);

  for (const [how, headers, dlp] of [
    ['polling', { 'dont-chunk': '1' }, true],
    ['long polling', { 'dont-chunk': '1' }, false],
  ] as const) {
    const received: number[] = [];
    let answers = 0;
    for (let id = 0; id < count; answers++) {
      const { messages } = await poll(url, { '/large': id, '/small': 1 }, { headers, dlp });
      t.ok(messages.length >= 1 && messages.length < count, `${how}: a page`);
      for (const message of messages) received.push(message.message_id);
      id = received.at(-1) ?? 0;
    }
    t.strictSame(received, ids, how);
    t.ok(answers >= 3);
  }

  t.strictSame(
    (await bus.backlog('/large')).map((message) => message.messageId),
    ids,
  );
  t.strictSame(
    (await bus.globalBacklog()).map((message) => message.globalId),
    [...ids, count + 1],
  );
  const heard: number[] = [];
  const heardOfAll: number[] = [];
  await bus.subscribe('/large', (message) => heard.push(message.messageId), { lastId: 0 });
  await bus.subscribe(null, (message) => heardOfAll.push(message.globalId), { lastId: 0 });
  await bus.publish('/large', { large });
  await until(() => heardOfAll.length === count + 2 && heard.length === count + 1, 'both subscribers have them');
  t.strictSame(heard, [...ids, count + 1]);
  t.strictSame(heardOfAll, [...ids, count + 1, count + 2]);
});

t.test('what a node missed of a channel, more than a page of it, reaches those who wait in order', async (t) => {
  const { url: databaseUrl, query } = await createDatabase(t);
  const bus = openBus(t, databaseUrl);
  const heard: number[] = [];
  await bus.subscribe('/large', (message) => heard.push(message.messageId));
  await until(() => bus.isConnected, 'the bus listens');
  await query(
    `select message_bus.publish_many((select jsonb_agg(jsonb_build_object('channel', '/large', 'data', repeat('x', 300000))) from generate_series(1, $1)))`,
    [count],
  );
  await until(() => heard.length === count, 'the subscriber has them');
  t.strictSame(heard, ids);
});
