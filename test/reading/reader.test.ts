import t from 'tap';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';

t.test('of reads that share a query, one that Postgres refuses fails alone', async (t) => {
  const { url, query } = await createDatabase(t);
  const bus = openBus(t, url);
  for (const channel of ['/a', '/b', '/c', '/d']) await bus.publish(channel, channel);
  await query('alter function message_bus.read_channels rename to read_all_channels');
  await query(`create function message_bus.read_channels(sites text[], names text[], ids bigint[]) returns table (
      request int, last_id bigint, message_id bigint, global_id bigint, user_ids text[], group_ids text[], client_ids text[], data text, up_to bigint,
      version bigint, first_id bigint, expires bigint, now bigint
    ) language plpgsql as $$ begin
      if '/c' = any (names) then raise sqlstate '22000' using message = 'on purpose'; end if;
      return query select * from message_bus.read_all_channels(sites, names, ids);
    end $$`);
  const reads = ['/a', '/b', '/c', '/d'].map((channel) => bus.backlog(channel));
  const results = await Promise.allSettled(reads);
  t.strictSame(
    results.map((result) =>
      result.status === 'fulfilled' ? result.value.map(({ data }) => data) : result.reason.code,
    ),
    [['/a'], ['/b'], 'POSTBUS_QUERY_FAILED', ['/d']],
  );
});
