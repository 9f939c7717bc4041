import pg from 'pg';
import t, { type Test } from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { documentedFunctions, documentedRoles, runRolesScript } from '../../helpers/documented-roles.js';
import { createRole } from '../../helpers/role.js';
import { listen, poll, stream } from '../../helpers/server.js';
import { until } from '../../helpers/until.js';
import { openSession } from '../session.js';

/** A bus that belongs to a role which is no superuser, and the script of docs/roles.md run for it. */
async function open(t: Test, schema: string) {
  const database = await createDatabase(t, { migrated: false });
  const owner = await createRole(t, database);
  const bus = pg.escapeIdentifier(schema);
  await database.query(`create schema ${bus} authorization ${owner.role}`);
  const migrator = openBus(t, owner.url, { schema });
  await migrator.migrate();
  return { database, bus, migrator, roles: await runRolesScript(t, database, schema) };
}

for (const schema of ['message_bus', 'The "bus"'])
  t.test(`the script of docs/roles.md, for the schema ${schema}`, async (t) => {
    const { database, bus, migrator, roles } = await open(t, schema);
    const [publisher, reader, owner] = [
      await openSession(t, roles.publisher.url),
      await openSession(t, roles.reader.url),
      await openSession(t, roles.table_owner.url),
    ];

    // The node is nothing but that.
    const node = openBus(t, roles.node.url, { schema });
    const heard: unknown[] = [];
    await node.subscribe('/a', ({ data }) => heard.push(data), { lastId: 0 });
    await node.subscribe(null, ({ data }) => heard.push(data), { lastId: 0 });
    const { url } = await listen(t, { bus: node, isAdminLookup: () => true });
    await until(() => node.isConnected, 'it listens');
    t.type((await node.diagnostics()).listener.heardItselfAt, 'string', 'it hears itself');

    // The reader follows.
    const woken: string[] = [];
    reader.client.on('notification', ({ channel }) => woken.push(channel));
    const channel = await reader.value(`select ${bus}.notify_channel()`);
    await reader.client.query(`listen ${pg.escapeIdentifier(String(channel))}`);

    t.equal(await publisher.value(`select ${bus}.publish('/a', '1')`), 1);
    t.strictSame(await publisher.value(`select ${bus}.publish_many('[{"channel": "/a", "data": 2}]')`), [2]);
    await publisher.value(`select ${bus}.publish_later('/a', '3')`);
    await until(() => heard.length === 6 && woken.length >= 3, 'they came');
    t.equal(await node.publish('/a', 4), 4);

    t.equal(await reader.value(`select ${bus}.last_id('/a')`), 4);
    t.strictSame(await reader.value(`select ${bus}.last_ids('{/a,/b}')`), [4, 0]);
    t.strictSame(await reader.column(`select data from ${bus}.backlog('/a', 2)`), [3, 4]);
    t.strictSame(await reader.column(`select data from ${bus}.global_backlog(3)`), [4]);
    t.equal(await reader.value(`select (${bus}.get_message('/a', 2)).data`), 2);
    t.equal(await reader.value(`select waiting from ${bus}.relay_state()`), 0);

    t.match((await poll(url, { '/a': 3 })).messages, [{ message_id: 4, data: 4 }]);
    const frames = stream(url, { '/a': 4 });
    await frames.next();
    await migrator.configure({ relay: true });
    await publisher.value(`select ${bus}.publish_later('/a', '"relayed"')`);
    t.match((await frames.next()).value, [{ message_id: 5, data: 'relayed' }]);
    await frames.return();
    t.equal((await node.getMessage('/a', 1))?.data, 1);
    t.equal((await node.globalBacklog(4)).length, 1);
    t.equal((await node.lastMessage('/a'))?.data, 'relayed');
    t.match((await node.diagnostics()).backlogs, { channels: 1, lastGlobalId: 5 });

    // Two at a time, one of which another transaction holds up.
    await publisher.client.query(`begin; select ${bus}.publish('/held', '1')`);
    const held = node.publish('/held', 2);
    t.equal(await node.publish('/free', 1), 1);
    await publisher.client.query('rollback');
    t.equal(await held, 1);
    t.strictSame(node.log, []);

    await database.query(`create schema shop authorization ${roles.table_owner.role}`);
    await owner.client.query('create table shop.orders (id int primary key)');
    await owner.value(`select ${bus}.publish_changes('shop.orders', '/orders')`);
    await owner.client.query('insert into shop.orders values (7)');
    await until(async () => (await reader.value(`select ${bus}.last_id('/orders')`)) === 1, 'it is relayed');
    await owner.value(`select ${bus}.stop_publishing_changes('shop.orders')`);

    for (const role of documentedRoles) {
      const rights = await database.query<{ name: string }>(
        `select 'message_bus.' || p.proname as name from pg_proc p
          where p.pronamespace = $1::regnamespace and has_function_privilege($2, p.oid, 'execute')`,
        [bus, roles[role].role],
      );
      const expected = await documentedFunctions(role);
      t.strictSame(rights.map(({ name }) => name).sort(), expected.sort(), `${role}: these functions`);
      const tables = await database.query(
        `select c.relname from pg_class c where c.relnamespace = $1::regnamespace and case c.relkind
          when 'r' then has_table_privilege($2, c.oid, 'select, insert, update, delete, truncate, references, trigger')
            or has_any_column_privilege($2, c.oid, 'select, insert, update, references')
          when 'S' then has_sequence_privilege($2, c.oid, 'usage, select, update') end`,
        [bus, roles[role].role],
      );
      t.strictSame(tables, [], `${role}: no table`);
      const [schemaRight] = await database.query(`select has_schema_privilege($1, $2::regnamespace, 'create') as may`, [
        roles[role].role,
        bus,
      ]);
      t.strictSame(schemaRight, { may: false }, `${role}: nothing of its own in the schema`);
    }
    const denied = { code: '42501' };
    await t.rejects(publisher.value(`select ${bus}.last_id('/a')`), denied);
    await t.rejects(reader.value(`select ${bus}.publish('/a', '1')`), denied);
    await t.rejects(owner.value(`select ${bus}.global_backlog()`), denied);
    await t.rejects(node.configure({ relay: false }), { code: 'POSTBUS_NO_PERMISSION', message: /docs\/roles\.md/ });
  });
