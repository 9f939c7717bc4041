import t from 'tap';
import { openBus } from './helpers/bus.js';
import { createDatabase } from './helpers/database.js';
import { until } from './helpers/until.js';

t.test('what is published reaches a subscriber and stays in the backlog', async (t) => {
  const { url } = await createDatabase(t);
  const bus = openBus(t, url);
  const received: unknown[] = [];
  await bus.subscribe('/a', (message) => received.push(message));
  t.equal(await bus.publish('/a', { hello: ['world'] }), 1);
  const message = {
    globalId: 1,
    messageId: 1,
    channel: '/a',
    siteId: null,
    data: { hello: ['world'] },
    userIds: null,
    groupIds: null,
    clientIds: null,
  };
  await until(() => received.length === 1, 'the subscriber was called');
  t.strictSame(received, [message]);
  t.strictSame(await bus.backlog('/a'), [message]);
});
