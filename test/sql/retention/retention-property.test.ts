import fc from 'fast-check';
import t from 'tap';
import { createDatabase } from '../../helpers/database.js';
import { openSession, type Session } from '../session.js';
import { type Publication, RetentionModel, type Row } from './retention-model.js';

type Message = Omit<Publication, 'channel' | 'data'> & { global: boolean };

type Step =
  | { do: 'publish'; messages: Message[] }
  | { do: 'publish many'; messages: Message[] }
  | { do: 'commit' | 'roll back'; messages: Message[]; undone: Message[]; batch: Message[] }
  | { do: 'configure'; clearEvery?: number; size?: number; globalSize?: number; age?: number }
  | { do: 'expire' }
  | { do: 'pass'; hours: number };

const places = [
  { site: null, global: false },
  { site: 's', global: false },
  { site: 's', global: true },
];

const size = fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 40 }));
const hours = fc.integer({ min: 0, max: 8 });
const age = hours.map((whole) => whole + 0.5);
const message: fc.Arbitrary<Message> = fc
  .record({
    // Most go to one channel.
    place: fc.oneof(
      { weight: 3, arbitrary: fc.constant(places[0]) },
      { weight: 2, arbitrary: fc.constantFrom(...places) },
    ),
    size: fc.option(size, { freq: 3 }),
    age: fc.option(age, { freq: 2 }),
  })
  .map(({ place, ...rest }) => ({ site: null, global: false, ...place, ...rest }));
const messages = (maxLength: number) => fc.array(message, { minLength: 1, maxLength });
const few = fc.array(message, { maxLength: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('publish'), messages: messages(6) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('publish many'), messages: messages(25) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('commit', 'roll back'),
      messages: messages(6),
      undone: few,
      batch: few,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record(
      { do: fc.constant('configure'), clearEvery: fc.integer({ min: 1, max: 12 }), size, globalSize: size, age },
      { requiredKeys: ['do'] },
    ),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('expire') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass'), hours }) },
);

t.test('whatever is done to a bus, reads show what the limits allow and nothing else', async (t) => {
  const { url } = await createDatabase(t);
  const session = await openSession(t, url);
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      const run = await Run.start(session, ++runs);
      for (const each of steps) {
        await run.take(each);
        await run.compare();
      }
    }),
    { numRuns: 80, interruptAfterTimeLimit: 15_000 },
  );
  t.ok(runs > 0);
});

/** The same steps on a database and on the model. Each run has channels of its own. */
class Run {
  readonly #name: string;
  readonly #model: RetentionModel;
  #published = 0;

  private constructor(
    private readonly session: Session,
    run: number,
    firstGlobalId: number,
  ) {
    this.#name = `/run${run}`;
    this.#model = new RetentionModel({ size: 10, globalSize: 20, age: 100.5 }, firstGlobalId);
  }

  static async start(session: Session, run: number): Promise<Run> {
    await session.value('select message_bus.expire_all_backlogs(), message_bus.configure(3, 10, 20, $1)', [
      100.5 * 3600,
    ]);
    return new Run(session, run, Number(await session.value('select expired_global_id from message_bus.settings')));
  }

  async take(step: Step): Promise<void> {
    const { session } = this;
    switch (step.do) {
      case 'publish':
        for (const message of step.messages) await this.#publish(this.#publication(message));
        return;
      case 'publish many':
        return this.#publishMany(step.messages);
      case 'commit':
        await session.client.query('begin');
        for (const message of step.messages) await this.#publish(this.#publication(message));
        await this.#undo(step.undone);
        await this.#publishMany(step.batch);
        await session.client.query('commit');
        return;
      case 'roll back':
        await session.client.query('begin');
        await this.#undo(step.messages);
        await session.client.query('rollback');
        return;
      case 'configure': {
        // A longer age could bring back what was deleted, or not: that is not laid down.
        const limits = { ...step, age: Math.min(step.age ?? Infinity, this.#model.limits.age) };
        await session.value('select message_bus.configure($1, $2, $3, $4)', [
          step.clearEvery ?? null,
          step.size ?? null,
          step.globalSize ?? null,
          limits.age * 3600,
        ]);
        return this.#model.configure({
          age: limits.age,
          ...(step.size === undefined ? {} : { size: step.size }),
          ...(step.globalSize === undefined ? {} : { globalSize: step.globalSize }),
        });
      }
      case 'expire':
        await session.value('select message_bus.expire_all_backlogs()');
        return this.#model.expireAll();
      case 'pass':
        await session.client.query(
          `update message_bus.messages set published_at = published_at - make_interval(hours => $1),
            expires_at = expires_at - make_interval(hours => $1)`,
          [step.hours],
        );
        return this.#model.pass(step.hours);
    }
  }

  /** All ways to read agree with the model. */
  async compare(): Promise<void> {
    const model = this.#model;
    const channels = places.map(({ site, global }) => ({ site, channel: this.#channel(global) }));
    const after = channels.map(({ site, channel }) => Math.floor(model.lastId(channel, site) / 2));
    const seen = await this.session.value(look, [
      channels.map(({ channel }) => channel),
      channels.map(({ site }) => site),
      after,
      model.firstGlobalId,
    ]);
    const backlogs = channels.map(({ channel, site }) => model.backlog(channel, site));
    const lastTwo = channels.map(({ channel, site }, i) => above(backlogs[i], model.lastId(channel, site) - 2));
    const expected = {
      last_ids: channels.map(({ channel, site }) => model.lastId(channel, site)),
      backlogs,
      later: backlogs.map((rows, i) => above(rows, after[i] ?? 0)),
      singles: backlogs,
      last_two: lastTwo,
      global: model.globalBacklog(),
      node_global: model.globalBacklog(),
    };
    if (JSON.stringify(seen) !== JSON.stringify(expected))
      throw new Error(`seen     ${JSON.stringify(seen)}\nexpected ${JSON.stringify(expected)}`);
  }

  async #publish({ channel, site, data, size, age }: Publication, undone = false): Promise<void> {
    const id = await this.session.value(
      'select message_bus.publish($1, $2, site_id => $3, max_backlog_size => $4, max_backlog_age => $5)',
      [channel, data, site, size, seconds(age)],
    );
    if (undone) return;
    const expected = this.#model.publish({ channel, site, data, size, age });
    if (id !== expected) throw new Error(`publish() answered ${id}, not ${expected}`);
  }

  async #publishMany(messages: Message[]): Promise<void> {
    const publications = messages.map((message) => this.#publication(message));
    const list = publications.map(({ channel, site, data, size, age }) => ({
      channel,
      site_id: site,
      data,
      max_backlog_size: size,
      max_backlog_age: seconds(age),
    }));
    const ids = await this.session.value('select message_bus.publish_many($1)', [JSON.stringify(list)]);
    const expected = publications.map((publication) => this.#model.publish(publication));
    if (String(ids) !== String(expected)) throw new Error(`publish_many() answered ${ids}, not ${expected}`);
  }

  async #undo(messages: Message[]): Promise<void> {
    await this.session.client.query('savepoint undone');
    for (const message of messages) await this.#publish(this.#publication(message), true);
    await this.session.client.query('rollback to undone');
  }

  #publication({ global, ...message }: Message): Publication {
    return { ...message, channel: this.#channel(global), data: ++this.#published };
  }

  #channel(global: boolean): string {
    return global ? `/global${this.#name}` : this.#name;
  }
}

const look = `
  with place as (select * from unnest($1::text[], $2::text[], $3::bigint[]) with ordinality p(channel, site, after, n))
  select json_build_object(
    'last_ids', (select json_agg(message_bus.last_id(p.channel, p.site) order by p.n) from place p),
    'backlogs', (select json_agg((select coalesce(json_agg(json_build_array(m.message_id, m.global_id, m.data)), '[]')
      from message_bus.backlog(p.channel, site_id => p.site) m) order by p.n) from place p),
    'later', (select json_agg((select coalesce(json_agg(json_build_array(m.message_id, m.global_id, m.data)), '[]')
      from message_bus.backlog(p.channel, p.after, p.site) m) order by p.n) from place p),
    'singles', (select json_agg((select coalesce(json_agg(json_build_array(m.message_id, m.global_id, m.data)), '[]')
      from generate_series(1, message_bus.last_id(p.channel, p.site)) id
      cross join lateral message_bus.get_message(p.channel, id, p.site) m where m.message_id is not null) order by p.n) from place p),
    'last_two', (select json_agg((select coalesce(json_agg(json_build_array(m.message_id, m.global_id, m.data::int)), '[]')
      from message_bus.read_channels(array[case when p.channel like '/global/%' then '' else coalesce(p.site, '') end], array[p.channel], '{-3}') m
      where m.message_id is not null) order by p.n) from place p),
    'global', (select coalesce(json_agg(json_build_array(m.message_id, m.global_id, m.data)), '[]') from message_bus.global_backlog() m),
    'node_global', (select coalesce(json_agg(json_build_array(m.message_id, m.global_id, m.data::int)), '[]')
      from message_bus.read_global($4) m where m.message_id is not null))`;

function above(rows: Row[] | undefined, id: number): Row[] {
  return (rows ?? []).filter(([messageId]) => messageId > id);
}

function seconds(age: number | null): number | null {
  return age === null ? null : age * 3600;
}
