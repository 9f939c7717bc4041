import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { openSession } from '../session.js';

const count = 25_000;

t.test(
  'a long stretch of expired messages is read in bounded steps, and deleted though nobody publishes to the channel',
  async (t) => {
    const { url } = await createDatabase(t);
    const { value, rows } = await openSession(t, url);
    await value(
      `select message_bus.publish_many(jsonb_agg(jsonb_build_object('channel', '/brief', 'data', i, 'max_backlog_size', 100000, 'max_backlog_age', 1000)))
    from generate_series(1, ${count}) i`,
    );
    await value(`update message_bus.messages set expires_at = now() - interval '1 s'`);
    await value(`select message_bus.publish('/brief', '"last"', max_backlog_size => 100000)`);
    const read = (after: number) =>
      rows('select up_to, message_id, last_id from message_bus.read_channels($1, $2, $3)', [[''], ['/brief'], [after]]);
    t.strictSame(await read(0), [{ up_to: 10_000, message_id: null, last_id: count + 1 }]);
    t.strictSame(await read(10_000), [{ up_to: 20_000, message_id: null, last_id: count + 1 }]);
    t.match(await read(20_000), [{ message_id: count + 1 }, { up_to: count + 1, message_id: null }]);
    const bus = openBus(t, url);
    t.match(await bus.backlog('/brief'), [{ data: 'last' }]);
    t.match(await bus.backlog('/brief', 5), [{ data: 'last' }]);

    await value('select message_bus.configure(clear_every => 1)');
    const left = () =>
      value(
        `select count(*) from message_bus.messages m join message_bus.channels c on c.id = m.channel_id where c.channel = '/brief'`,
      );
    for (let i = 0; i < 20 && (await left()) !== 1; i++) await value(`select message_bus.publish('/other', '1')`);
    t.equal(await left(), 1);
    t.match(await read(0), [{ message_id: count + 1 }, { up_to: count + 1, message_id: null }]);
  },
);
