-- The slots that a ring is to have when it has too few for this size: twice as many at least, so that it is not moved
-- often.
create or replace function wider_ring(slots int, size int) returns int language sql immutable parallel safe
return least(greatest(size, 2 * slots::bigint), 2147483647)::int;

-- Gives a channel, locked by the caller, another number of slots and moves its messages to where they belong
-- then. In two steps, by way of negative slots: the primary key is checked row by row.
create or replace function resize_ring(id bigint, slots int) returns void
language plpgsql set enable_seqscan = off set jit = off
as $$
declare
  c channels;
begin
  select * into c from channels where channels.id = resize_ring.id;
  delete from messages m where m.channel_id = c.id and (m.message_id < c.first_id or m.message_id <= c.last_id - slots);
  update messages m set slot = -1 - m.slot where m.channel_id = c.id;
  update messages m set slot = m.message_id % slots where m.channel_id = c.id;
  update channels set ring_size = slots where channels.id = c.id;
end
$$;
