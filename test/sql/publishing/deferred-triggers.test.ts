import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { until } from '../../helpers/until.js';
import { openSessions, type Session } from '../session.js';

const schema = `
  create table orders (id int, channels text[], data jsonb);
  create function tell() returns trigger language plpgsql as $$
  begin
    perform message_bus.publish_later(c, new.data) from unnest(new.channels) c;
    return null;
  end $$;
  create constraint trigger tell after insert on orders deferrable initially deferred for each row execute function tell()`;

t.test(
  'what a deferred trigger queues for a channel that another transaction holds is left to the nodes',
  async (t) => {
    const { url, query } = await createDatabase(t);
    await query(schema);
    const [holder, own] = await openSessions(t, url, 2);
    if (!holder || !own) throw new Error('too few sessions');
    await own.value(`select message_bus.publish('/held', '"first"')`);
    await holder.client.query(`begin; select message_bus.publish('/held', '1'), message_bus.publish('/new', '1')`);
    // The deferred trigger comes after the message, which has taken the turn to give out global ids by then.
    await own.client.query(`set lock_timeout = '5s'; begin; select message_bus.publish('/a', '0');
    insert into orders values (1, '{/held,/free,/new}', '2'); insert into orders values (2, '{/free,/held}', '3'); commit`);
    t.strictSame(await own.column(`select data from message_bus.backlog('/free')`), [2, 3]);
    t.match(await own.rows('select relay, waiting from message_bus.relay_state()'), [{ relay: false, waiting: 3 }]);

    const bus = openBus(t, url);
    const received: unknown[] = [];
    await bus.subscribe('/held', ({ data }) => received.push(data));
    await until(() => bus.isConnected, 'the bus listens');
    await holder.client.query('commit');
    await until(() => received.length === 3, 'a node that never relayed before publishes them');
    t.strictSame(received, [1, 2, 3]);
    t.strictSame(await own.column(`select data from message_bus.backlog('/new')`), [1, 2]);

    // A node that is at rest, as nothing waits, hears of the next.
    await holder.client.query(`begin; select message_bus.publish('/held', '4')`);
    await own.client.query(
      `begin; select message_bus.publish_many('[{"channel": "/a", "data": 0}]'), message_bus.publish_later('/held', '5'); commit`,
    );
    await holder.client.query('commit');
    await until(() => received.length === 5, 'it is told');
    t.strictSame(received, [1, 2, 3, 4, 5]);
  },
);

t.test(
  'deferred triggers that queue against publishers, with random delays: no deadlock, no loss, in order',
  async (t) => {
    const { url, query } = await createDatabase(t);
    await query('select message_bus.configure(max_backlog_size => 100000, max_global_backlog_size => 100000)');
    await query(schema);
    const sessions = await openSessions(t, url, 6);
    const bus = openBus(t, url);
    const received: { channel: string; messageId: number; globalId: number; data: unknown }[] = [];
    await bus.subscribe(null, (message) => received.push(message));
    await until(() => bus.isConnected, 'the bus listens');
    const rounds = 170;
    const channels = ['/a', '/b', '/c'];
    const any = () => channels[Math.floor(Math.random() * channels.length)] ?? '/a';
    let sent = 0;
    const work = async ({ client, value }: Session, worker: number) => {
      // A deadlock is ended soon enough to be seen, not waited out.
      await client.query(`set deadlock_timeout = '50ms'`);
      for (let round = 0; round < rounds; round++) {
        const n = JSON.stringify([worker, round]);
        const pause = async () => Math.random() < 0.2 && delay(Math.random() * 3);
        await client.query('begin');
        if (worker % 3 === 0) {
          await value('insert into orders values (0, $1, $2)', [[any(), any()], n]);
          await pause();
          await value('select message_bus.publish($1, $2)', [`/own/${worker}`, n]);
          await value('insert into orders values (0, $1, $2)', [[any()], n]);
          sent += 4;
        } else if (worker % 3 === 1) {
          await value('select message_bus.publish($1, $2)', [any(), n]);
          sent++;
        } else {
          const list = JSON.stringify([...new Set([any(), any()])].map((channel) => ({ channel, data: n })));
          const ids = await value('select message_bus.publish_many($1)', [list]);
          sent += Array.isArray(ids) ? ids.length : 0;
        }
        await pause();
        await client.query('commit');
      }
    };
    await Promise.all(sessions.map(work));
    await until(() => received.length >= sent, 'all are received');
    t.equal(received.length, sent);
    t.strictSame(
      received.map(({ globalId }) => globalId),
      received.map((_, i) => i + 1),
    );
    for (const channel of channels) {
      const ids = received.filter((message) => message.channel === channel).map(({ messageId }) => messageId);
      t.strictSame(
        ids,
        ids.map((_, i) => i + 1),
        channel,
      );
    }
    t.strictSame(await query('select from message_bus.outbox union all select from message_bus.relay_outbox'), []);
  },
);
