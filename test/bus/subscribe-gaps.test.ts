import t from 'tap';
import { until } from '../helpers/until.js';
import { gap, gaps, record } from './suite/gaps.js';
import { listen, onServer } from './suite/host.js';

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

gaps(t, onServer);

t.test('an outage of the listener in which the backlog passed the place of a subscriber', async (t) => {
  const { host, bus } = await listen(t, onServer);
  const publish = (channel: string) =>
    host.query(`select message_bus.publish($1, '0', max_backlog_size => 3)`, [channel]);
  await bus.configure({ maxGlobalBacklogSize: 5 });
  const told = await Promise.all([record(bus, '/a'), record(bus, '/b'), record(bus, '/c'), record(bus, null)]);
  for (const channel of ['/a', '/b', '/c']) await publish(channel);
  await until(() => told[3]?.length === 3, 'all are live');

  await host.query('alter function message_bus.node_state rename to hidden');
  await host.breakListeners();
  await until(() => !bus.isConnected, 'it notices');
  for (const i of numbers(1, 12)) await publish(i === 1 ? '/b' : '/a');
  for (let i = 0; i < 4; i++) await publish('/c');
  await host.query(`select message_bus.expire_all_backlogs()`);
  await publish('/b');
  await host.query('alter function message_bus.hidden rename to node_state');
  // Nothing else needs to be published for them to be told.
  await until(() => told.map((list) => list.length).join() === '2,3,2,5', 'all are told');
  t.strictSame(told, [
    [1, gap('/a', 1, 13)],
    [1, gap('/b', 1, 3), 3],
    [1, gap('/c', 1, 6)],
    [1, 2, 3, gap(null, 3, 20), 20],
  ]);
  t.strictSame(
    bus.log.map(({ message }) => message),
    ['not listening to Postgres; trying again', 'connected again: messages arrive here'],
    'those who are told themselves are not warned of',
  );
});
