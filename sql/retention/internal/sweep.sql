-- Deletes what readers no longer see of channels that nobody publishes to any more: their own publications would have
-- it trimmed, but do not come. Goes round through the channels, and looks at the oldest message of each: an index on
-- time would end the HOT updates that keep the table small. Called once in clear_every publications, by whoever gives
-- out global ids, for as many channels as have two rows a publication: as each adds one row at most, a round ends
-- before the table has doubled. An idle bus is not swept. At the end of a transaction, with the turn to give out global
-- ids: one at a time. Not before: a transaction that stays open with other channels locked would hold up publishers
-- whom it has nothing to do with. It waits for nobody, hence skip locked: a channel that somebody publishes to is not
-- idle. Elsewhere than in read committed, skip locked fails where it finds rows that have changed: the publication
-- matters more, and another one will come.
create or replace function sweep(rows int) returns void
language plpgsql set enable_seqscan = off set jit = off
as $$
declare
  max_age interval;
  place bigint;
  c channels;
  oldest bigint;
  is_old boolean;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    return;
  end if;
  select make_interval(secs => s.max_backlog_age), w.channel_id into max_age, place from settings s, sweep w;
  for c in select t.* from channels t where t.id > place order by t.id limit rows loop
    place := c.id;
    oldest := greatest(c.deleted_id, c.last_id - c.ring_size) + 1;
    select coalesce(m.expires_at, m.published_at + max_age) <= clock_timestamp() into is_old from messages m
      where m.channel_id = c.id and m.slot = (oldest % c.ring_size)::int and m.message_id = oldest;
    rows := rows - case when is_old is null then 1 else c.last_id - oldest + 1 end;
    if is_old is not false then
      select * into c from channels t where t.id = place for no key update skip locked;
      -- Its last message is there, unless publish_list() is about to write it: the channel is not idle then, and its
      -- counter ahead of its rows.
      perform from messages m where m.channel_id = c.id and m.slot = (c.last_id % c.ring_size)::int
        and m.message_id = c.last_id;
      if found then
        perform trim_channel(c.id, c.ring_size);
        -- There may be more of a long stretch: the next call goes on with it.
        perform from channels t where t.id = c.id
          and t.deleted_id >= greatest(c.deleted_id, c.last_id - c.ring_size) + stretch() and t.deleted_id < t.last_id;
        if found then
          place := place - 1;
          rows := 0;
        end if;
      end if;
    end if;
    exit when rows <= 0;
  end loop;
  -- Another round begins after the last channel; none has the id 0.
  update sweep set channel_id = case when rows > 0 then 0 else place end;
end
$$;
