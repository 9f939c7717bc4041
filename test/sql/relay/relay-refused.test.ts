import t, { type Test } from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { until } from '../../helpers/until.js';

const message = /^could not relay some messages/;

async function createRelayed(t: Test): Promise<TestDatabase> {
  const database = await createDatabase(t);
  await database.query(
    'select message_bus.configure(relay => true, max_backlog_size => 100000, max_global_backlog_size => 100000)',
  );
  return database;
}

/** Has Postgres refuse messages whose data is "bad". */
async function refuse({ query }: TestDatabase, sqlstate: string, timing = ''): Promise<void> {
  await query(`create or replace function refuse() returns trigger language plpgsql as $$
    begin
      if new.data = '"bad"' then raise exception 'bad is not welcome' using errcode = '${sqlstate}'; end if;
      return new;
    end $$`);
  const how = timing ? `constraint trigger refuse after insert or update` : 'trigger refuse before insert or update';
  await query(`create ${how} on message_bus.messages ${timing} for each row execute function refuse()`);
}

/** Every so many of the messages is refused; to three channels, put down in one go. */
async function putDown({ query }: TestDatabase, count: number, isBad: (i: number) => boolean): Promise<void> {
  const data = Array.from({ length: count }, (_, i) => (isBad(i) ? '"bad"' : String(i)));
  await query(
    `select message_bus.publish_later('/' || n % 3, d::jsonb) from unnest($1::text[]) with ordinality u(d, n) order by n`,
    [data],
  );
}

for (const timing of ['', 'deferrable initially deferred']) {
  t.test(`messages that Postgres refuses hold up no others (trigger ${timing || 'at once'})`, async (t) => {
    const database = await createRelayed(t);
    const { url, query } = database;
    await refuse(database, 'P0001', timing);
    await query(`select message_bus.publish_later('/0', '"bad"', user_ids => '{u}', site_id => 's')`);
    // In the first batch, at its edges, and in the third.
    const isBad = (i: number) => [0, 500, 501, 998, 999, 2200].includes(i);
    await putDown(database, 2500, isBad);
    const bus = openBus(t, url);
    const received: unknown[] = [];
    await bus.subscribe(null, ({ data }) => received.push(data));
    await until(() => received.length >= 2494, 'the others are delivered');
    await query(`select message_bus.publish_later('/0', '"after"')`);
    await until(() => received.includes('after'), 'what comes later is, too');
    const good = Array.from({ length: 2500 }, (_, i) => i).filter((i) => !isBad(i));
    t.strictSame(received, [...good, 'after'], 'each once, in order');

    t.match(await query('select waiting::int, refused::int from message_bus.relay_state()'), [
      { waiting: 0, refused: 7 },
    ]);
    const refused = await query('select * from message_bus.relay_refused()');
    t.strictSame(
      refused.map(({ channel }) => channel),
      ['/0', '/1', '/0', '/1', '/0', '/1', '/2'],
    );
    t.match(refused[0], {
      channel: '/0',
      site_id: 's',
      data: 'bad',
      user_ids: ['u'],
      group_ids: null,
      sqlstate: 'P0001',
      error: 'bad is not welcome',
    });
    const log = bus.log.filter((line) => message.test(line.message));
    t.match(log, [{ level: 'error', details: { err: { code: 'POSTBUS_NOT_RELAYED' } } }], 'once a minute');

    t.equal((await query('select message_bus.relay_discard($1) as n', [[refused[1]?.id, refused[2]?.id]]))[0]?.n, '2');
    t.equal((await query('select message_bus.relay_retry($1) as n', [[refused[3]?.id]]))[0]?.n, '1');
    t.match(await query('select waiting + refused as all from message_bus.relay_state()'), [{ all: '5' }]);
    await until(
      async () => (await query('select from message_bus.relay_refused()')).length === 5,
      'it is refused again',
    );
    await query('drop function refuse cascade');
    t.equal((await query('select message_bus.relay_retry() as n'))[0]?.n, '5');
    await until(() => received.length === 2500, 'nothing is left');
    t.strictSame(received.slice(-5), ['bad', 'bad', 'bad', 'bad', 'bad']);
    t.match(await query(`select data, user_ids from message_bus.backlog('/0', 0, 's')`), [
      { data: 'bad', user_ids: ['u'] },
    ]);
    t.match(await query('select waiting::int, refused::int from message_bus.relay_state()'), [
      { waiting: 0, refused: 0 },
    ]);
    t.strictSame(await query('select from message_bus.relay_outbox union all select from message_bus.refusals'), []);
  });
}

// A disk that is full, and one that is damaged.
for (const state of ['53100', 'XX001'])
  t.test(`what is not the fault of a message is waited out (${state})`, async (t) => {
    const database = await createRelayed(t);
    const { url, query } = database;
    await refuse(database, state);
    await putDown(database, 30, (i) => i === 10);
    const bus = openBus(t, url);
    const received: unknown[] = [];
    await bus.subscribe(null, ({ data }) => received.push(data));
    await until(() => bus.log.some((line) => /it is tried again$/.test(line.message)), 'it has been tried');
    t.match(await query('select waiting::int, refused::int from message_bus.relay_state()'), [
      { waiting: 30, refused: 0 },
    ]);
    t.strictSame(received, []);
    await query('drop function refuse cascade');
    await until(() => received.length === 30, 'all are delivered');
    t.equal(received[10], 'bad', 'in their order');
  });

t.test('a batch that would be too large, unpacked, is made smaller', async (t) => {
  const { url, query } = await createRelayed(t);
  await query('select message_bus.configure(max_data_size => 20000000)');
  // 160 MB, of which compression leaves 2.
  await query(
    `select message_bus.publish_later('/large', to_jsonb(repeat('postbus ', 2000000)), client_ids => '{c}') from generate_series(1, 10)`,
  );
  const [first] = await query<{ part: string }>(`select part from message_bus.relay('one')`);
  t.equal(first?.part, 'busy');
  const bus = openBus(t, url);
  await bus.connect();
  await until(async () => (await query('select from message_bus.relay_outbox')).length === 0, 'all are published');
  t.equal(await bus.lastId('/large'), 10);
});

t.test('messages whose text is thousands of times as long as they are do not keep the relay busy', async (t) => {
  const { query } = await createRelayed(t);
  // 150 bytes each in the outbox, and 26 MB of text.
  const data = `select jsonb_agg('1e131071'::jsonb) as data from generate_series(1, 200)`;
  await query(`select message_bus.publish_later('/long/' || i, (${data})) from generate_series(1, 8) i`);
  await query(`select message_bus.publish_later('/short', '1')`);
  const elapsed = async (statement: string) => {
    const begin = performance.now();
    await query(statement);
    return performance.now() - begin;
  };
  const text = await elapsed(`select sum(octet_length(data::text)) from message_bus.relay_outbox`);
  const relayed = await elapsed(`select message_bus.relay('node')`);
  t.ok(relayed < text / 2, `${relayed} ms, and ${text} to make all of the text`);
  t.strictSame(
    await query(`select count(*)::int, message_bus.last_id('/short')::int from message_bus.relay_refused()`),
    [{ count: 8, last_id: 1 }],
  );
});
