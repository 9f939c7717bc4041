import t from 'tap';
import type { DataSchema } from '../../src/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';

const nowhere = 'postgres://nobody@127.0.0.1:1/nowhere';

/** A Standard Schema of an order: `{ items: [{ price }] }`. */
const order: DataSchema = {
  '~standard': {
    validate: (value) => {
      const price: unknown = Object(value).items?.[0]?.price;
      if (typeof price === 'number') return {};
      return { issues: [{ message: 'Expected a number', path: ['items', { key: 0 }, 'price'] }] };
    },
  },
};
const text: DataSchema = {
  '~standard': { validate: (value) => (typeof value === 'string' ? {} : { issues: [{ message: 'Expected text' }] }) },
};

t.test(
  'data that the schema of its channel refuses is not published, and the error names the path in it',
  async (t) => {
    const { url } = await createDatabase(t);
    const bus = openBus(t, url, { schemas: { '/orders/*': order, '/chat': text, '/team/**': text, 'a.b': text } });
    const good = { items: [{ price: 1, other: true }] };
    t.equal(await bus.publish('/orders/7', good), 1);
    t.match(await bus.lastMessage('/orders/7'), { data: good });
    const says = (message: string) => ({ code: 'POSTBUS_BAD_DATA', message });
    const wrong = { items: [{ price: '1' }] };
    const priceFault = says('data: items.0.price: Expected a number (schema of /orders/*).');
    await t.rejects(bus.publish('/orders/7', wrong), priceFault);
    await t.rejects(
      bus.publishMany([
        { channel: '/a', data: 1 },
        { channel: '/orders/8', data: wrong },
      ]),
      priceFault,
    );
    t.equal(await bus.lastId('/a'), 0);
    for (const [channel, pattern] of [
      ['/chat', '/chat'],
      ['/team/a', '/team/**'],
      ['/team/a/b', '/team/**'],
      ['a.b', 'a.b'],
    ]) {
      await t.rejects(bus.publish(channel ?? '', 1), says(`data: Expected text (schema of ${pattern}).`));
      t.equal(await bus.publish(channel ?? '', 'text'), 1);
    }
    for (const channel of ['/orders', '/orders/7/items', '/chat/1', '/team', 'axb']) await bus.publish(channel, 1);
  },
);

t.test('schemas that are none or async, and patterns that are none, are refused', async (t) => {
  const bad = { code: 'POSTBUS_BAD_OPTION', message: /^schemas/ };
  for (const schemas of [null, 1, { '/a': {} }, { '/a': null }, { '/**/a': text }, { '': text }, { '/__a': text }])
    t.throws(() => openBus(t, nowhere, Object({ schemas })), bad);
  const late: DataSchema = { '~standard': { validate: () => Promise.reject(new Error('late')) } };
  const bus = openBus(t, nowhere, { schemas: { '/a': late } });
  await t.rejects(bus.publish('/a', 1), { code: 'POSTBUS_BAD_DATA', message: /must not be async/ });
});
