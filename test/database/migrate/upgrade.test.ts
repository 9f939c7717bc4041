import { readFile } from 'node:fs/promises';
import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';

/** All that `postbus migrate --print` said before there were incarnations and limits. */
const released = new URL('fixtures/released-schema.sql', import.meta.url);

t.test(
  'a schema of an earlier version, with all of its functions, is migrated: messages and triggers stay',
  async (t) => {
    const database = await createDatabase(t, { migrated: false });
    const { query } = database;
    await query(await readFile(released, 'utf8'));
    await query(`create table orders (id int primary key);
    select message_bus.publish_changes('orders', '/orders');
    insert into orders values (1);
    select message_bus.publish('/a', to_jsonb(i)) from generate_series(1, 3) i;
    select message_bus.publish_later('/later', '1')`);
    await openBus(t, database.url).migrate();
    await query(
      `insert into orders values (2); select message_bus.publish('/a', '4'); select message_bus.publish_later('/later', '2')`,
    );
    const rows = await query<{ channel: string; ids: string }>(
      `select channel, string_agg(message_id::text, ' ' order by global_id) as ids from message_bus.global_backlog() group by channel order by channel`,
    );
    t.strictSame(rows, [
      { channel: '/a', ids: '1 2 3 4' },
      { channel: '/later', ids: '1 2' },
      { channel: '/orders', ids: '1 2' },
    ]);
  },
);
