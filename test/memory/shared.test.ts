import { PGlite } from '@electric-sql/pglite';
import t from 'tap';
import { createMemoryBus } from '../../src/memory/index.js';
import { logTo } from '../helpers/bus.js';
import { until } from '../helpers/until.js';

const pglite = new PGlite();
const { log, logger } = logTo();
const bus = createMemoryBus({ pglite, logger, schema: 'a$1', queryTimeout: 1_000 });
const heard: unknown[] = [];
t.before(() => bus.migrate());
t.teardown(async () => {
  await bus.close();
  await pglite.close();
});

t.test('a transaction that the application begins and rolls back undoes nothing of the bus', async (t) => {
  await pglite.query('begin');
  const subscribing = bus.subscribe('/a', ({ data }) => heard.push(data), { lastId: 0 });
  const publishing = bus.publish('/a', 'waits');
  const isOver = publishing.then(() => true);
  t.equal(await Promise.race([isOver, pglite.query('select').then(() => false)]), false, 'it waits');
  await pglite.query('rollback');
  t.equal(await publishing, 1);
  await subscribing;
  await until(() => heard.length === 1 && bus.isConnected, 'the bus listens');

  // Begun while the message is on its way to the database.
  const all = [];
  for (let i = 0; i < 20; i++) {
    all.push(bus.publish(`/${i}`, i));
    const begun = pglite.query('begin');
    all.push(bus.publish(`/${i}`, i));
    await begun;
    await pglite.query('rollback');
  }
  await Promise.all(all);
  const ids = await bus.lastIds(Array.from({ length: 20 }, (_, i) => `/${i}`));
  t.strictSame(ids, Array(20).fill(2), 'what was acknowledged is there');
});

t.test('a transaction that stays open is told of, and is not touched', async (t) => {
  await pglite.query('begin');
  await pglite.query('create table kept ()');
  const refused = { code: 'POSTBUS_IN_TRANSACTION', statusCode: 503, message: /1000 ms|666|667/ };
  await Promise.all([t.rejects(bus.publish('/a', 1), refused), t.rejects(bus.lastId('/a'), { code: refused.code })]);
  await pglite.query(`select "a$1".publish('/a', '"by SQL"')`);
  await pglite.query('commit');
  await until(() => heard.includes('by SQL'), 'it came');
  t.equal((await pglite.query('select from kept')).rows.length, 0);
});

t.test('who waits for the bus within transaction() of PGlite is told so, and nothing is done later', async (t) => {
  const before = await bus.lastId('/within');
  await pglite.transaction(async () => {
    await t.rejects(bus.publish('/within', 1), { code: 'POSTBUS_IN_TRANSACTION' });
    await t.rejects(bus.backlog('/within'), { code: 'POSTBUS_IN_TRANSACTION' });
  });
  t.equal(await bus.lastId('/within'), before);
  t.equal(await bus.publish('/within', 2), before + 1);
});

const settings = {
  'set role stranger': 'current_user as value',
  'set session authorization stranger': 'session_user as value',
  "set search_path = 'nowhere'": `current_setting('search_path') as value`,
  'set default_transaction_read_only = on': `current_setting('default_transaction_read_only') as value`,
  "set default_transaction_isolation = 'serializable'": `current_setting('transaction_isolation') as value`,
  'set statement_timeout = 1': `current_setting('statement_timeout') as value`,
  'set lock_timeout = 1': `current_setting('lock_timeout') as value`,
  'set session_replication_role = replica': `current_setting('session_replication_role') as value`,
  'set standard_conforming_strings = off': `current_setting('standard_conforming_strings') as value`,
  'set bytea_output = escape': `current_setting('bytea_output') as value`,
};
t.test('what the application sets in the session does not count for the bus, and stays as it is', async (t) => {
  await pglite.exec('create role stranger');
  for (const [statement, value] of Object.entries(settings)) {
    const other = createMemoryBus({ pglite, logger, schema: 'Other "$1"' });
    await pglite.exec(statement);
    const set = (await pglite.query(`select ${value}`)).rows;
    const before = heard.length;
    const userIds = [`'"\\$1`];
    await t.resolves(bus.publish('/a', `'"\\ $1 ${statement}`), statement);
    await until(() => heard.length > before, 'it came');
    t.equal(heard.at(-1), `'"\\ $1 ${statement}`);
    await t.resolves(other.publish(`/it's "\\`, 1, { userIds }), `it migrates, too: ${statement}`);
    t.match((await other.backlog(`/it's "\\`)).at(-1), { userIds });
    await other.close();
    t.strictSame((await pglite.query(`select ${value}`)).rows, set, `${statement} is still so`);
    await pglite.exec('set session authorization postgres; reset role; reset all');
    await pglite.exec('drop schema "Other ""$1""" cascade');
  }
  t.strictSame(log, []);
});

t.test(
  'with client_encoding = latin1, which PGlite cannot write, the bus publishes and hears every character',
  async (t) => {
    const other = createMemoryBus({ pglite, logger, schema: 'Zoë "€' });
    await other.migrate();
    for (const data of ['é€ 日本 \u{1d11e}', `é'"\\ \\u00e9`]) {
      await pglite.exec('set client_encoding = latin1');
      const before = heard.length;
      const id = await bus.publish('/a', data, { userIds: [data] });
      await until(() => heard.length > before, 'it came');
      t.equal(heard.at(-1), data);
      t.match(await bus.backlog('/a', id - 1), [{ data, userIds: [data] }]);
      await pglite.exec('set client_encoding = latin1');
      await other.publish(`/${data}`, data);
      await pglite.exec('set client_encoding = latin1');
      t.match(await other.backlog(`/${data}`), [{ channel: `/${data}`, data }]);
    }
    await other.close();
  },
);

t.test('after UNLISTEN or DISCARD ALL of the application every bus listens again, and misses nothing', async (t) => {
  const second = createMemoryBus({ pglite, logger, schema: 'a$1' });
  const also: unknown[] = [];
  await second.subscribe('/a', ({ data }) => also.push(data));
  await until(() => second.isConnected, 'the second one listens');
  for (const statement of ['unlisten *', 'discard all']) {
    await pglite.exec(statement);
    await pglite.query(`select "a$1".publish('/a', to_jsonb($1::text))`, [`SQL ${statement}`]);
    await bus.publish('/a', statement);
    for (const all of [heard, also]) {
      await until(() => all.includes(statement), 'what the bus has published came');
      t.ok(all.includes(`SQL ${statement}`));
    }
    await until(() => bus.isConnected && second.isConnected, 'both listen again');
    await pglite.query(`select "a$1".publish('/a', '"after"')`);
    await until(() => also.at(-1) === 'after' && heard.at(-1) === 'after', 'they hear what is published by SQL');
  }
  t.strictSame(
    new Set(log.splice(0).map(({ message }) => message)),
    new Set(['not listening to Postgres; trying again', 'connected again: messages arrive here']),
  );
  await second.close();
});

t.test('what the application has in the session stays: prepared statements, cursors, its own LISTEN', async (t) => {
  const told: string[] = [];
  const unlisten = await pglite.listen('application', (payload) => told.push(payload));
  await pglite.exec('prepare mine(int) as select $1 * 2 as twice; create temp table messages (mine int)');
  await pglite.exec('begin; declare held cursor with hold for select generate_series(1, 3) as n; commit');
  await pglite.exec('set session characteristics as transaction isolation level serializable, read only, deferrable');
  await bus.publish('/a', 'between');
  await until(() => heard.at(-1) === 'between', 'it came');
  t.strictSame((await pglite.query('execute mine(4)')).rows, [{ twice: 8 }]);
  t.strictSame((await pglite.query('fetch 2 from held')).rows, [{ n: 1 }, { n: 2 }]);
  t.match((await pglite.query('show transaction_read_only')).rows, [{ transaction_read_only: 'on' }]);
  await pglite.query(`notify application, 'é'`);
  await until(() => told.length === 1, 'the application hears');
  await unlisten();
  await pglite.exec('reset all');
  await pglite.exec('close held; deallocate mine; drop table pg_temp.messages');
});

t.test('the bus waits for the end of a transaction that has failed, and touches no savepoint', async (t) => {
  await pglite.exec('begin; create table saved (n int); savepoint s; insert into saved values (1)');
  await t.rejects(pglite.query('select 1 / 0'));
  const publishing = bus.publish('/failed', 1);
  t.equal(await Promise.race([publishing, pglite.exec('rollback to s').then(() => 'waits')]), 'waits');
  await pglite.exec('insert into saved values (2); commit');
  t.equal(await publishing, 1);
  t.strictSame((await pglite.query('select n from saved')).rows, [{ n: 2 }]);
  await pglite.exec('begin');
  await t.rejects(pglite.query('nonsense'));
  await t.rejects(bus.publish('/failed', 2), { code: 'POSTBUS_IN_TRANSACTION' });
  await pglite.exec('commit');
  t.equal(await bus.publish('/failed', 2), 2);
});
