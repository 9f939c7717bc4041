import t from 'tap';
import { MessageBusClient } from '../../src/client/index.js';
import { errors } from '../../src/foundation/errors.js';
import { run } from '../helpers/command.js';
import { serveBus } from '../helpers/served-bus.js';
import { until } from '../helpers/until.js';

const names = ['discourse-ai/ai-bot/topic/7', 'constructor', '7', 'ü 😀', '_a', 'a__', '/a/__b', 'global/x', '*'];
const reserved = ['__', '__a', '__seq', '__proto__', '/__', '/__a', '/__status', '/__denied'];

t.test('a channel without a leading slash is one for SQL, Node, polls, clients and the command line', async (t) => {
  const { bus, url, query, database } = await serveBus(t);
  await bus.connect();
  const client = new MessageBusClient({ baseUrl: url });
  t.teardown(() => client.stop());
  for (const name of names) {
    const heard: unknown[] = [];
    const polled: unknown[] = [];
    await bus.subscribe(name, ({ channel, data }) => heard.push([channel, data]));
    client.subscribe(name, (data) => polled.push(data), 0);
    t.equal(await bus.publish(name, 'node'), 1, name);
    await query('select message_bus.publish($1, $2)', [name, '"sql"']);
    await query(
      'select message_bus.publish_many(jsonb_build_array(jsonb_build_object($1::text, $2::text, $3::text, 3)))',
      ['channel', name, 'data'],
    );
    await query('select message_bus.publish_later($1, $2)', [name, '"later"']);
    const all = ['node', 'sql', 3, 'later'];
    await until(() => heard.length === 4 && polled.length === 4, 'all have come');
    t.strictSame(polled, all);
    t.strictSame(
      heard,
      all.map((data) => [name, data]),
    );
    t.strictSame(
      (await bus.backlog(name)).map(({ data }) => data),
      all,
    );
    t.equal(await bus.lastId(name), 4);
    t.equal(await bus.lastId(`/${name}`), 0, 'with a slash it is another channel');
  }
  await query('create table orders (id int)');
  await query(`select message_bus.publish_changes('orders', 'orders/{id}')`);
  await query('insert into orders values (7)');
  t.equal((await bus.backlog('orders/7')).length, 1);
  const published = await run(t, ['publish', 'chat', '1'], { env: { DATABASE_URL: database } });
  t.strictSame([published.code, published.stdout], [0, '1\n']);
});

t.test('names that begin with __ or /__ are those of the bus, wherever they are given', async (t) => {
  const { bus, query } = await serveBus(t);
  const client = new MessageBusClient();
  for (const name of reserved) {
    await t.rejects(bus.publish(name, 1), errors.BAD_CHANNEL, name);
    await t.rejects(
      bus.subscribe(name, () => {}),
      errors.BAD_CHANNEL,
    );
    await t.rejects(bus.lastIds(['/a', name]), errors.BAD_CHANNEL);
    t.throws(() => bus.registerClientMessageFilter(name, () => true), errors.BAD_CHANNEL);
    t.throws(() => client.subscribe(name, () => {}), TypeError);
    await t.rejects(query('select message_bus.publish($1, $2)', [name, '1']), { code: 'PB001' });
  }
  t.strictSame(client.callbacks, []);
});
