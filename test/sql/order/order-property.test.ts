import fc from 'fast-check';
import t from 'tap';
import { createDatabase } from '../../helpers/database.js';
import { openSessions, type Session } from '../session.js';

/** What a transaction does, step by step; sub: a savepoint, released or undone. do: a block of PL/pgSQL. */
type Step =
  | { kind: 'publish' | 'later' | 'change' | 'deferred'; channel: number }
  | { kind: 'many' | 'laters'; channels: number[] }
  | { kind: 'constraints'; names: string; mode: 'immediate' | 'deferred' }
  | { kind: 'sub'; steps: Step[]; undone: boolean }
  | { kind: 'do'; steps: Step[] };

const channels = 3;
const channel = fc.nat(channels - 1);
const list = fc.array(channel, { minLength: 2, maxLength: 5 });
const step = fc.letrec<{ step: Step; flat: Step }>((tie) => ({
  flat: fc.oneof(
    fc.record({ kind: fc.constantFrom('publish', 'later', 'change', 'deferred'), channel }),
    fc.record({ kind: fc.constantFrom('many', 'laters'), channels: list }),
    fc.record({
      kind: fc.constant('constraints'),
      names: fc.constantFrom('all', 'message_bus.announce', 'message_bus.publish_outbox', 'tell'),
      mode: fc.constantFrom('immediate', 'deferred'),
    }),
  ) as fc.Arbitrary<Step>,
  step: fc.oneof(
    { weight: 6, arbitrary: tie('flat') },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('sub'),
        steps: fc.array(tie('step'), { maxLength: 4 }),
        undone: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('do'), steps: fc.array(tie('flat'), { maxLength: 4 }) }) },
  ) as fc.Arbitrary<Step>,
})).step;
const transaction = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 7 }),
  isolation: fc.constantFrom('read committed', 'read committed', 'read committed', 'repeatable read'),
  forged: fc.constantFrom(
    '',
    '',
    '',
    "set_config('postbus.outbox', '', true)",
    "set_config('postbus.turn', 'taken', true)",
  ),
});

/** SQL of the steps, each message with a number of its own; kept: the numbers of those that a commit publishes. */
function toSql(steps: Step[], forged: string, next: () => number, kept: number[]): string {
  const number = () => {
    const n = next();
    kept.push(n);
    return n;
  };
  const sql = (s: Step, depth: number, call = 'select'): string => {
    switch (s.kind) {
      case 'publish':
        return `${call} message_bus.publish('/${s.channel}', '${number()}')`;
      case 'later':
        return `${call} message_bus.publish_later('/${s.channel}', '${number()}')`;
      case 'laters':
        return `${call} ${s.channels.map((c) => `message_bus.publish_later('/${c}', '${number()}')`).join()}`;
      case 'many':
        return `${call} message_bus.publish_many('[${s.channels.map((c) => `{"channel": "/${c}", "data": ${number()}}`)}]')`;
      case 'change':
      case 'deferred':
        // The triggers publish three messages, in three ways.
        return `insert into ${s.kind === 'change' ? 'changed' : 'told'} values ('/${s.channel}', ${number()}, ${number()}, ${number()})`;
      case 'constraints':
        // Postgres forgets to undo it when the savepoint was released before one around it is undone.
        return depth > 1 ? '' : `set constraints ${s.names} ${s.mode}`;
      case 'do':
        return `do $$ begin ${s.steps.map((inner) => `${sql(inner, depth, 'perform') || 'null'};`).join(' ')} end $$`;
      case 'sub': {
        const before = kept.length;
        const inner = s.steps.map((each) => sql(each, depth + 1)).join('; ');
        if (s.undone) kept.length = before;
        return `savepoint s; ${inner}; ${s.undone ? 'rollback to s; ' : ''}release s`;
      }
    }
  };
  return [forged === '' ? [] : `select ${forged}`, ...steps.map((each) => sql(each, 0))].flat().join('; ');
}

const schema = `
  create table changed (channel text, a int, b int, c int);
  create table told (like changed);
  create function tell() returns trigger language plpgsql as $$
  begin
    perform message_bus.publish_later(new.channel, to_jsonb(new.a));
    if tg_table_name = 'told' and new.b % 3 = 0 then
      perform message_bus.publish_many(jsonb_build_array(jsonb_build_object('channel', new.channel, 'data', new.b), jsonb_build_object('channel', '/0', 'data', new.c)));
    else
      perform message_bus.publish(new.channel, to_jsonb(new.b)), message_bus.publish_later('/1', to_jsonb(new.c));
    end if;
    return null;
  end $$;
  create trigger tell_now after insert on changed for each row execute function tell();
  create constraint trigger tell after insert on told deferrable initially deferred for each row execute function tell()`;

t.test('within a channel, global ids rise with message ids, whatever transactions are made of', async (t) => {
  const { url, query } = await createDatabase(t);
  await query('select message_bus.configure(max_backlog_size => 1000000, max_global_backlog_size => 1000000)');
  await query(schema);
  const sessions = await openSessions(t, url, 4);
  let n = 0;
  const expected = new Set<number>();
  let deadlocks = 0;
  /** The transactions of this round that committed, to be found in an error. */
  const done: string[] = [];
  let seen = 0;
  const run = async (
    { client }: Session,
    { steps, isolation, forged }: { steps: Step[]; isolation: string; forged: string },
  ) => {
    const kept: number[] = [];
    const sql = toSql(steps, forged, () => ++n, kept);
    try {
      await client.query(`begin isolation level ${isolation}; ${sql}; commit`);
      for (const number of kept) expected.add(number);
      done.push(sql);
    } catch (error) {
      await client.query('rollback');
      // Those that publish to several channels one after the other may meet; the bus may have moved on.
      const code = error instanceof Error && 'code' in error ? error.code : error;
      if (code === '40P01') deadlocks++;
      else if (code !== '40001') throw new Error(`${String(error)} after ${sql}`);
    }
  };
  for (const { client } of sessions) await client.query(`set deadlock_timeout = '20ms'`);
  const relayAll = async () => {
    while ((await query(`select part from message_bus.relay('node')`))[0]?.part !== 'never');
  };
  await fc.assert(
    fc.asyncProperty(fc.array(transaction, { minLength: 4, maxLength: 4 }), async (transactions) => {
      await Promise.all(transactions.map((each, i) => run(sessions[i] as Session, each)));
      await relayAll();
      const wrong = await query(
        `select channel, message_id, global_id from (
          select m.*, lag(global_id) over (partition by channel order by message_id) as before from message_bus.global_backlog($1) m
        ) m where before >= global_id or global_id is null`,
        [seen],
      );
      if (wrong.length > 0) throw new Error(`${JSON.stringify(wrong)} after\n${done.splice(0).join('\n')}`);
      done.length = 0;
      seen = Number((await query('select max(global_id) as id from message_bus.global_ring'))[0]?.id);
    }),
    { numRuns: 50, endOnFailure: true },
  );
  const messages = await query<{ data: number; global_id: string }>(
    'select data, global_id from message_bus.global_backlog()',
  );
  t.strictSame(
    messages.map(({ data }) => data).toSorted((a, b) => a - b),
    [...expected].toSorted((a, b) => a - b),
    'each message of the transactions that committed once, and no other',
  );
  t.strictSame(
    messages.map(({ global_id }) => Number(global_id)),
    messages.map((_, i) => i + 1),
  );
  t.strictSame(await query('select from message_bus.outbox union all select from message_bus.relay_outbox'), []);
  t.comment(`${messages.length} messages, ${deadlocks} deadlocks`);
});
