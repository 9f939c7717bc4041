import t from 'tap';
import { openSession } from '../session.js';
import { openChanges } from './published-changes.js';

const manyHeld = `begin; select message_bus.publish_many('[{"channel": "/elsewhere", "data": 0}]')`;
const channelHeld = `begin; select message_bus.publish('/orders', '0')`;

for (const [held, hold] of [
  ['the channel', channelHeld],
  ['the turn to give out global ids', manyHeld],
])
  t.test(
    `with on_error 'warn' a lock_timeout does not fail the commit while another transaction holds ${held}`,
    async (t) => {
      const { run, told, changes, database } = await openChanges(
        t,
        `create table orders (id int primary key); set lock_timeout = '50ms';
      select message_bus.publish_changes('orders', '/orders', on_error => 'warn')`,
      );
      const other = await openSession(t, database.url);
      await other.client.query(String(hold));
      await run('insert into orders values (1)');
      await run(
        'begin; insert into orders values (2), (3); savepoint s; insert into orders values (4); rollback to s; commit',
      );
      t.strictSame(told, []);
      await other.client.query('commit');
      t.equal((await changes()).length, 1, 'what the other one has published');
      // As a node does.
      await database.query(`select message_bus.relay('node')`);
      t.strictSame(
        (await changes()).map(([, { key }]) => key),
        [{ id: 1 }, { id: 2 }, { id: 3 }],
      );
      // What is free goes out at once.
      await run('insert into orders values (5)');
      t.strictSame(
        (await changes()).map(([, { key }]) => key),
        [{ id: 5 }],
      );

      await run(`select message_bus.publish_changes('orders', '/orders')`);
      await other.client.query(String(hold));
      await t.rejects(run('insert into orders values (6)'), { code: '55P03' });
      await other.client.query('rollback');
      t.strictSame(await changes(), []);
    },
  );
