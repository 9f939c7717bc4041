import t from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

t.test('who follows a channel that is forgotten hears what is published to it next', async (t) => {
  const { url: database, query } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, { bus });
  for (let i = 1; i <= 3; i++) await bus.publish('/a', i);
  const received: number[] = [];
  await bus.subscribe('/a', ({ messageId }) => received.push(messageId), { onGap: () => {} });
  const parked = poll(url, { '/a': 3 }, { client: 'parked' });
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 2, 'the poll waits');
  await query('select message_bus.expire_all_backlogs()');
  const [row] = await query(`select message_bus.forget_channels('0 s')::int as forgotten`);
  t.equal(row?.forgotten, 1);
  // Beyond the end now: moved back.
  const { messages } = await poll(url, { '/a': 3 }, { client: 'late', dlp: true });
  t.match(messages, [{ channel: '/__status', data: { '/a': 0 } }]);

  t.equal(await bus.publish('/a', 'again'), 4);
  const answered = await parked;
  const news = answered.messages.filter(({ channel }) => channel === '/a');
  if (news.length > 0) t.match(news, [{ message_id: 4, data: 'again' }]);
  else t.match(answered.messages, [{ channel: '/__status', data: { '/a': 0 } }]);
  t.match((await poll(url, { '/a': 0 }, { client: 'late', dlp: true })).messages, [{ message_id: 4, data: 'again' }]);
  await until(() => received.includes(4), 'the subscriber hears it');
  t.strictSame(received, [4]);
  t.strictSame(
    (await bus.globalBacklog()).map(({ data }) => data),
    ['again'],
  );
});
