import { setImmediate as turn } from 'node:timers/promises';
import type pg from 'pg';
import t, { type Test } from 'tap';
import { openBus } from '../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../helpers/database.js';
import { until } from '../helpers/until.js';

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

async function open(t: Test) {
  const database = await createDatabase(t);
  return { database, bus: openBus(t, database.url) };
}

/** Of the messages that are there, in how many transactions they were published. */
async function countTransactions({ query }: TestDatabase): Promise<number> {
  const [row] = await query<{ count: number }>('select count(distinct xmin::text)::int from message_bus.messages');
  return row?.count ?? 0;
}

/** Lets nobody publish until it is called. */
async function holdUp(t: Test, { pool, query }: TestDatabase) {
  const client = await pool.connect();
  await client.query('begin; lock table message_bus.turn in share update exclusive mode');
  const waiting = async () => {
    const rows = await query<{ pid: number }>(
      `select pid from pg_stat_activity
        where datname = current_database() and application_name = 'postbus' and wait_event_type = 'Lock'`,
    );
    return rows.map(({ pid }) => pid);
  };
  let held = true;
  const letGo = async () => {
    if (held) await client.query('rollback').finally(() => client.release());
    held = false;
  };
  t.teardown(letGo);
  return { waiting, letGo };
}

t.test('ids are given in the order of the calls, over all channels', async (t) => {
  const { bus } = await open(t);
  const sent: Promise<number>[] = [];
  for (const i of numbers(600)) {
    // Large ones are not overtaken.
    const data = i % 50 === 0 ? [i, 'x'.repeat(50_000)] : [i];
    sent.push(bus.publish(`/${i % 3}`, data, i % 7 === 0 ? { siteId: 'site' } : {}));
    if (i % 40 === 0) await turn();
  }
  await Promise.all(sent);
  const messages = await bus.globalBacklog();
  t.strictSame(
    messages.map(({ data }) => (Array.isArray(data) ? data[0] : data)),
    numbers(600),
  );
  t.strictSame(
    await Promise.all(sent),
    messages.map((message) => message.messageId),
  );
});

t.test('many calls need few transactions', async (t) => {
  await t.test('those of one turn', async (t) => {
    const { database, bus } = await open(t);
    await Promise.all(numbers(900).map((i) => bus.publish('/a', i)));
    t.equal(await countTransactions(database), 1);
  });

  await t.test('those that come while a batch is under way', async (t) => {
    const { database, bus } = await open(t);
    const { waiting, letGo } = await holdUp(t, database);
    const sent = [bus.publish('/a', 'first')];
    await until(async () => (await waiting()).length === 1, 'the first is under way');
    for (const i of numbers(100)) {
      sent.push(bus.publish('/a', i));
      await turn();
    }
    t.equal((await waiting()).length, 1, 'one at a time');
    await letGo();
    t.strictSame(await Promise.all(sent), numbers(101));
    t.equal(await countTransactions(database), 2);
  });

  await t.test('but not without bounds', async (t) => {
    const { database, bus } = await open(t);
    await bus.configure({ maxBacklogSize: 5_000, maxDataSize: 2_000_000 });
    const many = numbers(2_500).map((i) => bus.publish('/a', i));
    await Promise.all(many);
    t.equal(await countTransactions(database), 3);
    const large = 'x'.repeat(1_500_000);
    await Promise.all(numbers(4).map((i) => bus.publish('/a', [i, large])));
    t.equal(await countTransactions(database), 5);
    t.strictSame(await Promise.all(many), numbers(2_500));
  });
});

t.test('a message that Postgres refuses fails alone', async (t) => {
  const { database, bus } = await open(t);
  // What Node lets pass and Postgres does not: a rule of the database's own.
  await database.query(`alter table message_bus.messages add constraint no_poison check (data <> '"poison"')`);
  const outcomes = await Promise.allSettled(
    numbers(50).map((i) => bus.publish('/a', [1, 17, 18, 50].includes(i) ? 'poison' : i)),
  );
  const accepted = numbers(50).filter((i) => ![1, 17, 18, 50].includes(i));
  outcomes.forEach((outcome, i) => {
    if (accepted.includes(i + 1)) t.match(outcome, { status: 'fulfilled', value: accepted.indexOf(i + 1) + 1 });
    else t.match(outcome, { reason: { code: 'POSTBUS_QUERY_FAILED', message: /no_poison/ } });
  });
  t.strictSame(
    (await bus.backlog('/a')).map((message) => message.data),
    accepted,
  );
});

t.test('a connection that breaks under a batch', async (t) => {
  const { database, bus } = await open(t);
  const { waiting, letGo } = await holdUp(t, database);
  const lost = t.rejects(bus.publish('/a', 'lost'), {
    code: 'POSTBUS_CONNECTION_LOST',
    message: /may or may not have been published/,
  });
  let pid: number | undefined;
  await until(async () => {
    [pid] = await waiting();
    return pid !== undefined;
  }, 'the first is under way');
  const behind = [bus.publish('/a', 1), bus.publish('/a', 2)];
  await database.query('select pg_terminate_backend($1)', [pid]);
  await lost;
  await letGo();
  t.strictSame(await Promise.all(behind), [1, 2], 'what came behind it is sent');
  t.equal(await bus.publish('/a', 3), 3);
});

/** Fails so many times, as Postgres does where it undoes one of two transactions. */
async function failTimes({ query }: TestDatabase, times: number, state: string): Promise<() => Promise<number>> {
  await query(`create sequence tries`);
  await query(
    `create function fail() returns trigger language plpgsql security definer as $$
    begin
      if nextval('public.tries') <= ${times} then raise exception using errcode = '${state}', message = 'undone'; end if;
      return new;
    end $$`,
  );
  await query('create trigger fail before insert on message_bus.messages for each statement execute function fail()');
  return async () => Number((await query<{ last_value: string }>('select last_value from tries'))[0]?.last_value);
}

t.test('what Postgres undoes in favour of others is sent again', async (t) => {
  for (const state of ['40001', '40P01']) {
    const { database, bus } = await open(t);
    const tries = await failTimes(database, 3, state);
    t.strictSame(await Promise.all([bus.publish('/a', 1), bus.publish('/a', 2)]), [1, 2]);
    t.equal(await tries(), 4);
  }
});

t.test('but not for ever', async (t) => {
  const { database, bus } = await open(t);
  const tries = await failTimes(database, 1_000_000, '40P01');
  await t.rejects(bus.publish('/a', 1), { code: 'POSTBUS_CANCELED', statusCode: 503, message: /undone/ });
  t.ok((await tries()) < 20);
});

t.test('close() sends what was accepted, and accepts no more', async (t) => {
  const { database, bus } = await open(t);
  await bus.publish('/a', 0);
  const sent = numbers(1_500).map((i) => bus.publish('/b', i));
  const closing = bus.close();
  const closed = { code: 'POSTBUS_CLOSED', message: /createBus/ };
  const late: Promise<unknown>[] = [
    bus.publish('/a', 1),
    bus.backlog('/a'),
    bus.globalBacklog(),
    bus.lastId('/a'),
    bus.lastIds(['/a']),
    bus.lastMessage('/a'),
    bus.getMessage('/a', 1),
    bus.configure({ clearEvery: 1 }),
    bus.expireAllBacklogs(),
    bus.reset(),
    bus.migrate(),
    bus.connect(),
    bus.subscribe('/a', () => {}),
  ];
  for (const outcome of await Promise.allSettled(late)) t.match(outcome, { status: 'rejected', reason: closed });
  await closing;
  t.strictSame(await Promise.all(sent), numbers(1_500));
  const rows: pg.QueryResultRow[] = await database.query(`select message_bus.last_ids('{/a,/b}') as ids`);
  t.strictSame(rows, [{ ids: ['1', '1500'] }]);
  await t.resolves(bus.close());
});
