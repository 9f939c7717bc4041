import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { until } from '../../helpers/until.js';
import { openChanges } from './published-changes.js';

const orders = 'create table orders (id int primary key, customer int, status text, total numeric)';
const change = (op: string, id: number, rest: object) => ({ op, table: 'orders', key: { id }, ...rest });

t.test('each row that a statement changes is a message, to the channel that its columns name', async (t) => {
  const { run, changes, told } = await openChanges(t, orders);
  await run(`select message_bus.publish_changes('orders', '/customers/{customer}/orders/{id}')`);
  await run(`insert into orders values (1, 7, 'new', 10.50), (2, 8, 'new', null)`);
  const first = { id: 1, customer: 7, status: 'new', total: 10.5 };
  const second = { id: 2, customer: 8, status: 'new', total: null };
  t.strictSame(await changes(), [
    ['/customers/7/orders/1', change('insert', 1, { row: first })],
    ['/customers/8/orders/2', change('insert', 2, { row: second })],
  ]);
  await run(`update orders set status = 'paid'`);
  t.strictSame(await changes(), [
    ['/customers/7/orders/1', change('update', 1, { row: { ...first, status: 'paid' } })],
    ['/customers/8/orders/2', change('update', 2, { row: { ...second, status: 'paid' } })],
  ]);
  await run('delete from orders where id = 2');
  t.strictSame(await changes(), [['/customers/8/orders/2', change('delete', 2, {})]]);
  await run(`update orders set status = 'none' where false; truncate orders`);
  t.strictSame(await changes(), [], 'no rows, and what is truncated');
  t.strictSame(told, []);
});

t.test('what commits is published, and nothing else', async (t) => {
  const { run, changes } = await openChanges(t, orders);
  await run(`select message_bus.publish_changes('orders', '/{id}')`);
  await run(`begin; insert into orders values (1, 1, 'a', 1); savepoint s; update orders set status = 'b'; rollback to s;
    update orders set status = 'c'`);
  t.strictSame(await changes(), [], 'not before the commit');
  await run('commit');
  t.match(await changes(), [
    ['/1', { op: 'insert', row: { status: 'a' } }],
    ['/1', { op: 'update', row: { status: 'c' } }],
  ]);
  await run('begin; delete from orders; rollback');
  t.strictSame(await changes(), []);
});

t.test('every kind of statement is published', async (t) => {
  const { run, changes } = await openChanges(t, orders);
  await run(`select message_bus.publish_changes('orders', '/{id}', old_values => true, columns => '{status}')`);
  await run(`insert into orders values (1, 1, 'a', 1)`);
  await changes();
  await run(
    `insert into orders values (1, 1, 'b', 1), (2, 1, 'c', 1) on conflict (id) do update set status = excluded.status`,
  );
  t.same(
    new Set(await changes()),
    new Set([
      ['/2', change('insert', 2, { row: { status: 'c' } })],
      ['/1', change('update', 1, { row: { status: 'b' }, old: { status: 'a' } })],
    ]),
    'INSERT … ON CONFLICT',
  );
  await run(`merge into orders o using (values (1, 'd'), (2, null), (3, 'e')) v (id, status) on v.id = o.id
    when matched and v.status is null then delete when matched then update set status = v.status
    when not matched then insert values (v.id, 1, v.status, 1)`);
  t.same(
    new Set(await changes()),
    new Set([
      ['/1', change('update', 1, { row: { status: 'd' }, old: { status: 'b' } })],
      ['/2', change('delete', 2, { old: { status: 'c' } })],
      ['/3', change('insert', 3, { row: { status: 'e' } })],
    ]),
    'MERGE',
  );
  await run(`with gone as (delete from orders where id = 3 returning *), u as (update orders set status = 'f' where id = 1)
    insert into orders select 4, customer, 'moved', total from gone`);
  t.same(
    new Set(await changes()),
    new Set([
      ['/3', change('delete', 3, { old: { status: 'e' } })],
      ['/1', change('update', 1, { row: { status: 'f' }, old: { status: 'd' } })],
      ['/4', change('insert', 4, { row: { status: 'moved' } })],
    ]),
    'writable CTEs',
  );
  await run('update orders set id = id + 1');
  t.same(
    new Set(await changes()),
    new Set([
      ['/2', change('update', 2, { row: { status: 'f' }, old: { status: 'f' } })],
      ['/5', change('update', 5, { row: { status: 'moved' }, old: { status: 'moved' } })],
    ]),
    'keys that change',
  );
  await run(`copy orders from program 'echo 9,1,copied,1' csv`);
  t.strictSame(await changes(), [['/9', change('insert', 9, { row: { status: 'copied' } })]], 'COPY');
});

t.test('operations, columns, condition, when_changed, old_values', async (t) => {
  const { run, changes } = await openChanges(t, orders);
  const install = (options: string) => run(`select message_bus.publish_changes('orders', '/o', ${options})`);
  const go = () =>
    run(`insert into orders values (1, 1, 'a', 1), (2, 1, 'b', 9);
    update orders set status = 'c' where id = 1; update orders set customer = 5 where id = 2; delete from orders`);
  const seen = async () => (await changes()).map(([, { op, key, row, old }]) => ({ op, key, row, old }));

  await install(`operations => '{delete}'`);
  await go();
  t.match(await seen(), [{ op: 'delete' }, { op: 'delete' }]);

  await install(`operations => '{insert}', except_columns => '{total,customer}'`);
  await go();
  t.strictSame(
    (await seen()).map(({ row }) => row),
    [
      { id: 1, status: 'a' },
      { id: 2, status: 'b' },
    ],
  );

  await install(`operations => '{insert,delete}', columns => '{status}', old_values => true`);
  await go();
  t.match(await seen(), [
    { row: { status: 'a' } },
    { row: { status: 'b' } },
    { old: { status: 'c' } },
    { old: { status: 'b' } },
  ]);

  await install(`condition => $$total > 5 or status = 'x' -- a comment$$`);
  await go();
  t.match(await seen(), [
    { op: 'insert', key: { id: 2 } },
    { op: 'update', key: { id: 2 } },
    { op: 'delete', key: { id: 2 } },
  ]);

  await install(`operations => '{update}', when_changed => '{status,total}', old_values => true`);
  await go();
  t.match(await seen(), [{ key: { id: 1 }, row: { status: 'c' }, old: { status: 'a' } }]);
});

t.test('publish instead of publish_later, sizes and ages, several at once, and their end', async (t) => {
  const { run, changes, rows, column, value } = await openChanges(t, orders);
  await run(`select message_bus.publish_changes('orders', '/now', via => 'publish', max_backlog_size => 2, max_backlog_age => 60, name => 'now');
    select message_bus.publish_changes('orders', '/later'); select message_bus.publish_changes('orders', '/later')`);
  await run(`begin; insert into orders select i from generate_series(1, 5) i`);
  t.equal(await value(`select message_bus.last_id('/now')`), 5, 'before the commit, for itself');
  t.equal(await value(`select message_bus.last_id('/later')`), 0);
  await run('commit');
  t.equal((await changes()).filter(([channel]) => channel === '/later').length, 5, 'replaced, not doubled');
  t.equal((await rows(`select * from message_bus.backlog('/now')`)).length, 2);
  t.strictSame(
    await column(
      `select extract(epoch from expires_at - published_at)::int from message_bus.messages where expires_at is not null`,
    ),
    [60, 60],
  );

  const made = () => column(`select tgname from pg_trigger where tgrelid = 'orders'::regclass order by 1`);
  const functions = () => column(`select proname from pg_proc where pronamespace = 'public'::regnamespace order by 1`);
  t.strictSame(await functions(), ['orders_changes', 'orders_now']);
  await run(`select message_bus.stop_publishing_changes('orders', 'no')`);
  t.equal((await made()).length, 6, 'another name');
  await run(`select message_bus.stop_publishing_changes('orders', 'now')`);
  t.strictSame(await made(), ['orders_changes_delete', 'orders_changes_insert', 'orders_changes_update']);
  await run(
    `select message_bus.publish_changes('orders', '/now', name => 'now'); select message_bus.stop_publishing_changes('orders')`,
  );
  t.strictSame(await made(), []);
  t.strictSame(await functions(), []);
  await run(`delete from orders`);
  t.strictSame(await changes(), []);
});

t.test('partitioned tables: rows that move, statements on a partition, partitions of other shape', async (t) => {
  const { run, changes, column } = await openChanges(
    t,
    `create table p (id int, k int, note text, primary key (id, k)) partition by list (k);
    create table p1 partition of p for values in (1);
    create table p2 (gone int, note text, k int not null, id int not null, primary key (id, k)); alter table p2 drop gone;
    alter table p attach partition p2 for values in (2)`,
  );
  await run(`select message_bus.publish_changes('p', '/p/{id}', old_values => true, when_changed => '{k,note}')`);
  await run(`insert into p values (1, 1, 'a'), (2, 2, 'b')`);
  t.match(await changes(), [
    ['/p/1', { table: 'p', op: 'insert' }],
    ['/p/2', { op: 'insert', row: { id: 2, k: 2, note: 'b' } }],
  ]);
  await run('update p set k = 3 - k');
  t.same(
    new Set(await changes()),
    new Set([
      [
        '/p/1',
        {
          op: 'update',
          table: 'p',
          key: { id: 1, k: 2 },
          row: { id: 1, k: 2, note: 'a' },
          old: { id: 1, k: 1, note: 'a' },
        },
      ],
      [
        '/p/2',
        {
          op: 'update',
          table: 'p',
          key: { id: 2, k: 1 },
          row: { id: 2, k: 1, note: 'b' },
          old: { id: 2, k: 2, note: 'b' },
        },
      ],
    ]),
  );
  await run(`update p2 set note = 'c'; delete from p1`);
  t.match(await changes(), [
    ['/p/1', { op: 'update', table: 'p', row: { id: 1, note: 'c' }, old: { note: 'a' } }],
    ['/p/2', { op: 'delete' }],
  ]);

  await run(
    `create table p3 partition of p for values in (3); insert into p values (3, 3, 'a'); insert into p3 values (4, 3, 'a')`,
  );
  t.match(await changes(), [['/p/3', {}]], 'a partition made later: through the table alone');
  await run(
    `select message_bus.publish_changes('p', '/p/{id}', old_values => true); insert into p3 values (5, 3, 'a')`,
  );
  t.match(await changes(), [['/p/5', {}]], 'unless it is called again');

  await run(`create function vanish() returns trigger language plpgsql as 'begin return null; end';
    create trigger vanish before insert on p1 for each row execute function vanish()`);
  await t.rejects(run(`update p set k = 1 where id = 5; `), {
    message: /rows were lost .*\(trigger p_changes_update on public\.p\)/,
  });

  await run('alter table p detach partition p3; select message_bus.stop_publishing_changes($$p$$)');
  t.strictSame(
    await column(
      `select distinct tgrelid::regclass::text from pg_trigger where not tgisinternal and tgname like 'p_changes%'`,
    ),
    ['p3'],
  );
  await run(`insert into p3 values (6, 3, 'a'); select message_bus.stop_publishing_changes('p3')`);
  t.match(await changes(), [['/p/6', {}]], 'what was taken out of the table goes on until it is stopped');
  t.strictSame(await column(`select proname from pg_proc where proname like 'p_changes%'`), []);
});

t.test('a bulk update is one batch, also after small ones in the same session', async (t) => {
  const { run, value } = await openChanges(t, orders);
  await run(`insert into orders select i, i % 100, 'new', 1 from generate_series(1, 20000) i`);
  await run(
    `select message_bus.publish_changes('orders', '/bulk/{customer}', old_values => true, when_changed => '{status}', max_backlog_size => 1)`,
  );
  await run(`update orders set status = 'one' where id = 1`);
  // A plan that were kept from above, with a nested loop, would take many minutes.
  await run(`set statement_timeout = '60s'; update orders set status = 'all'`);
  t.equal(await value(`select max(global_id) from message_bus.global_ring`), 20_001);
  t.equal(await value(`select count(distinct xmin::text)::int from message_bus.messages where message_id > 1`), 1);
});

t.test('a table edited by SQL wakes a subscriber', async (t) => {
  const { run, database } = await openChanges(t, orders);
  await run(`select message_bus.publish_changes('orders', '/orders/{id}')`);
  const bus = openBus(t, database.url);
  const received: unknown[] = [];
  await bus.subscribe('/orders/1', ({ data }) => received.push(data));
  await until(() => bus.isConnected, 'the bus listens');
  await run(`insert into orders values (1, 1, 'new', 2)`);
  await until(() => received.length > 0, 'it is told');
  t.strictSame(received, [change('insert', 1, { row: { id: 1, customer: 1, status: 'new', total: 2 } })]);
});

t.test('with the relay on, a node publishes what the statement has put down', async (t) => {
  const { run, changes, database, value } = await openChanges(t, orders);
  await run(`select message_bus.configure(relay => true); select message_bus.publish_changes('orders', '/{id}')`);
  await run(`insert into orders select i from generate_series(1, 20) i`);
  t.equal(await value(`select message_bus.last_id('/1')`), 0, 'not by the statement');
  const bus = openBus(t, database.url);
  await bus.subscribe('/1', () => {});
  await until(async () => (await value(`select message_bus.last_id('/20')`)) === 1, 'it is relayed');
  t.strictSame(
    (await changes()).map(([channel]) => channel),
    Array.from({ length: 20 }, (_, i) => `/${i + 1}`),
    'in order',
  );
});
