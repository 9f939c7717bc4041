-- Deletes what readers of a channel, locked by the caller, no longer see: once in clear_every publications, or by
-- sweep(). In the steady state there is nothing to do, each message having overwritten the one that left; there is
-- after a size was lowered, and for messages past their age. Bounded below by deleted_id, as the rest is gone.
create or replace function trim_channel(id bigint, keep int) returns void
language plpgsql set enable_seqscan = off set jit = off
as $$
declare
  c channels;
  max_age interval;
  expires timestamptz;
  upto bigint;
begin
  select * into c from channels where channels.id = trim_channel.id;
  select make_interval(secs => max_backlog_age) into max_age from settings;
  c.deleted_id := greatest(c.deleted_id, c.last_id - c.ring_size);
  upto := greatest(c.deleted_id, c.first_id - 1);
  -- One by one at first: most often there is none, or as many as were published since the last time.
  for i in 1..200 loop
    exit when upto >= c.last_id;
    select coalesce(m.expires_at, m.published_at + max_age) into expires from messages m
      where m.channel_id = c.id and m.slot = (upto + 1) % c.ring_size and m.message_id = upto + 1;
    exit when found and expires > clock_timestamp();
    upto := upto + 1;
    if i = 200 then
      -- A long stretch: reads would walk through it, page after page.
      upto := coalesce((
        select min(t.message_id) - 1 from generate_series(upto + 1, least(upto + stretch(), c.last_id)) g(message_id)
          cross join lateral (
          select m.message_id from messages m
          where m.channel_id = c.id and m.slot = (g.message_id % c.ring_size)::int and m.message_id = g.message_id
            and coalesce(m.expires_at, m.published_at + max_age) > clock_timestamp() offset 0
        ) t
      ), least(upto + stretch(), c.last_id));
    end if;
  end loop;
  if upto > c.deleted_id then
    delete from messages m using generate_series(c.deleted_id + 1, upto) i
      where m.channel_id = c.id and m.slot = i % c.ring_size and m.message_id = i;
    update channels set deleted_id = upto, first_id = greatest(first_id, upto + 1) where channels.id = c.id;
  end if;
  if keep <= c.ring_size / 2 then
    perform resize_ring(c.id, keep);
  end if;
end
$$;
