import { isDeepStrictEqual } from 'node:util';
import t, { type Test } from 'tap';
import { openBus } from '../helpers/bus.js';
import { ask, type Child, startChild } from '../helpers/child.js';
import { createDatabase, type TestDatabase } from '../helpers/database.js';
import { until } from '../helpers/until.js';
import { channel } from './fixtures/caches.js';

const program = new URL('fixtures/random-changes.js', import.meta.url);

async function start(t: Test, count: number) {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  // All that is published is looked at in the end.
  await bus.configure({ maxBacklogSize: 20_000 });
  const children = Array.from({ length: count }, () => startChild(t, program, { URL: database.url }));
  await until(() => children.every(({ said }) => said.length > 0), 'all have opened their cache', 60_000);
  return { database, bus, children };
}

/** What messages say in their order; what was computed counts where the key has not changed since. */
function replay(messages: readonly { messageId: number; data: unknown }[]): Map<string, string> {
  const entries = new Map<string, string>();
  const changed = new Map<string, number>();
  let cleared = 0;
  for (const { messageId, data } of messages) {
    const { op, key, value, since = messageId } = Object(data);
    if (op === 'clear') {
      entries.clear();
      cleared = messageId;
    } else if (since >= Math.max(cleared, changed.get(key) ?? 0)) {
      changed.set(key, messageId);
      if (op === 'delete') entries.delete(key);
      else entries.set(key, JSON.parse(value));
    }
  }
  return entries;
}

const work = (children: readonly Child[], rounds: number, keys: number, computes = false) =>
  Promise.all(children.map((child) => ask(child, { call: 'work', rounds, keys, computes })));
const show = (children: readonly Child[]) => Promise.all(children.map((child) => ask(child, { call: 'show' })));

t.test('processes that set, delete and clear at random have the same in the end', async (t) => {
  const { bus, children } = await start(t, 5);
  for (const keys of [1, 3, 20]) {
    const complaints = await work(children, 150, keys);
    t.strictSame(complaints.flat(), [], 'own changes showed at once');
    const expected = [...replay(await bus.backlog(channel))].sort();
    await until(
      async () => (await show(children)).every((shown) => isDeepStrictEqual(shown, expected)),
      `all show ${JSON.stringify(expected)}`,
    ).catch(async (error) => t.fail(error, { shown: await show(children) }));
  }
  t.ok((await bus.lastId(channel)) >= 5 * 150 * 3);
});

/** Until the function that it gives is called, ends listeners at random and drops the backlog. */
function disturb({ query }: TestDatabase): () => Promise<void> {
  let isOver = false;
  const disturbing = (async () => {
    while (!isOver) {
      await query(`select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'postbus listener' and datname = current_database() and random() < 0.4`);
      if (Math.random() < 0.5) await query('select message_bus.expire_all_backlogs()');
      await query('select pg_sleep(0.05 * random())');
    }
  })();
  return () => {
    isOver = true;
    return disturbing;
  };
}

t.test(
  'while listeners are ended and the backlog is expired, and values are computed: what they hold in the end is true',
  async (t) => {
    const { database, bus, children } = await start(t, 4);
    // A witness that does not listen.
    await database.query('create table public.witness (message_id bigint primary key, data jsonb)');
    await database.query(`create function public.note() returns trigger language plpgsql as $$ begin
    insert into public.witness values (new.message_id, new.data) on conflict do nothing;
    return null;
  end $$`);
    await database.query(`create trigger note after insert or update on message_bus.messages
    for each row execute function public.note()`);
    const stop = disturb(database);
    t.strictSame((await work(children, 400, 20, true)).flat(), []);
    await stop();
    t.strictSame((await work(children, 50, 20, true)).flat(), []);

    // Each has heard all when it shows what every other one has set since it listens again.
    await until(async () => {
      await Promise.all(children.map((child, i) => ask(child, { call: 'mark', name: `mark ${i}` })));
      const all = await show(children);
      return all.every((shown) => [0, 1, 2, 3].every((i) => JSON.stringify(shown).includes(`mark ${i}`)));
    }, 'all hear all');
    const messages = await database.query<{ messageId: number; data: unknown }>(
      'select message_id::int as "messageId", data from public.witness order by message_id',
    );
    t.equal(messages.length, await bus.lastId(channel));
    const truth = replay(messages);
    let held = 0;
    for (const shown of await show(children)) {
      for (const [key, value] of Object.entries(Object.fromEntries(Object(shown)))) {
        held++;
        t.equal(value, truth.get(key), key);
      }
    }
    t.ok(held >= 16);
    t.ok((await bus.lastId(channel)) >= 800);
  },
);
