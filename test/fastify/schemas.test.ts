import pg from 'pg';
import t from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const schemas = ['message_bus', 'Message Bus', `quo"te's`, 'ü'.repeat(31), 'x'.repeat(63)];

t.test('buses in schemas of any name serve polls side by side, each its own messages', async (t) => {
  const { url, query } = await createDatabase(t, { migrated: false });
  const start = async (schema: string) => {
    const bus = openBus(t, url, { schema });
    await bus.migrate();
    const heard: unknown[] = [];
    await bus.subscribe(null, ({ data }) => heard.push(data));
    const { url: server } = await listen(t, { bus });
    return { schema, bus, server, heard, name: pg.escapeIdentifier(schema) };
  };
  const nodes = await Promise.all(schemas.map(start));
  // All at the same position: what one took from another would pass for its own.
  const before = nodes.map(({ bus }) => internalsOf(bus).dispatcher.counts.cursors);
  const parked = nodes.map(({ server }) => poll(server, { '/a': 0 }));
  await until(
    () => nodes.every(({ bus }, i) => internalsOf(bus).dispatcher.counts.cursors === (before[i] ?? 0) + 1),
    'all polls wait',
  );
  for (const { name, schema } of nodes) await query(`select ${name}.publish('/a', to_jsonb($1::text))`, [schema]);
  for (const [i, { schema, server, bus, heard }] of nodes.entries()) {
    t.match((await parked[i])?.messages, [{ global_id: 1, message_id: 1, data: schema }]);
    t.equal((await parked[i])?.messages.length, 1);
    t.equal(await bus.publish('/a', 'second'), 2);
    const { messages } = await poll(server, { '/a': 0 }, { dlp: true });
    t.strictSame(
      messages.map(({ data }) => data),
      [schema, 'second'],
    );
    await until(() => heard.length >= 2, 'the subscriber was called');
  }
  for (const { schema, bus, heard } of nodes) {
    t.strictSame(heard, [schema, 'second']);
    t.strictSame(bus.log, [], 'and took nothing for a forgery');
  }
});
