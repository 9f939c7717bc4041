-- Deletes what readers no longer see of channels that nobody publishes to any more: their own publications would have it
-- trimmed, but do not come. Goes round through the messages, so many rows at a time, by their key: an index on time would
-- end the HOT updates that keep the table small. Called once in clear_every publications, by whoever gives out global ids,
-- for two rows a publication: as each adds one row at most, a round ends before the table has doubled. An idle bus is not
-- swept.
-- At the end of a transaction, with the turn to give out global ids: one at a time. Not before: a transaction that stays open
-- with other channels locked would hold up publishers whom it has nothing to do with. It waits for nobody, hence skip
-- locked: a channel that somebody publishes to is not idle. Elsewhere than in read committed, skip locked fails where it
-- finds rows that have changed: the publication matters more, and another one will come.
create or replace function sweep(rows int) returns void
language plpgsql set enable_seqscan = off set jit = off
as $$
declare
  max_age interval;
  place sweep;
  seen int;
  upto_channel bigint;
  upto_slot int;
  idle bigint[];
  c channels;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    return;
  end if;
  select make_interval(secs => s.max_backlog_age) into max_age from settings s;
  select * into place from sweep;
  with part as materialized (
    select m.channel_id, m.slot, coalesce(m.expires_at, m.published_at + max_age) <= clock_timestamp() as is_old from messages m
      where (m.channel_id, m.slot) > (place.channel_id, place.slot) order by m.channel_id, m.slot limit rows
  )
  select count(*), max(t.channel_id), (array_agg(t.slot order by t.channel_id desc, t.slot desc))[1], array_agg(distinct t.channel_id) filter (where t.is_old)
    into seen, upto_channel, upto_slot, idle from part t;
  for i in 1..coalesce(cardinality(idle), 0) loop
    select * into c from channels t where t.id = idle[i] for no key update skip locked;
    -- Its last message is there, unless publish_list() is about to write it: the channel is not idle then, and its counter
    -- ahead of its rows.
    perform from messages m where m.channel_id = c.id and m.slot = (c.last_id % c.ring_size)::int and m.message_id = c.last_id;
    if found then
      perform trim_channel(c.id, c.ring_size);
    end if;
  end loop;
  -- Another round begins after the last row. No row has a slot below 0, no channel the id 0.
  if seen < rows then
    upto_channel := 0;
    upto_slot := 0;
  end if;
  update sweep set channel_id = upto_channel, slot = upto_slot;
end
$$;
