-- The window over all channels takes a row for each 16 global ids, not one each: global_id is the first that is in it, the others
-- follow. Its slots are of such rows: one more than fit, as the window begins and ends in the middle of a row.
alter table global_ring alter channel_id type bigint[] using array[channel_id], alter message_id type bigint[] using array[message_id];
alter table global_ring rename channel_id to channel_ids;
alter table global_ring rename message_id to message_ids;
alter table bus alter ring_size set default 126;
update bus set ring_size = (ring_size + 14::bigint) / 16 + 1;
update global_ring set slot = -1 - slot;
insert into global_ring
  select min(r.global_id) / 16 % b.ring_size, min(r.global_id), array_agg(r.channel_ids[1] order by r.global_id), array_agg(r.message_ids[1] order by r.global_id)
  from global_ring r cross join bus b group by r.global_id / 16, b.ring_size;
delete from global_ring where slot < 0;

-- Messages up to here had left the window when its size was changed: with a larger one, their rows may still lie there.
alter table bus add passed_global_id bigint not null default 0;

-- sweep() goes from channel to channel.
drop table sweep;
create table sweep (
  singleton boolean primary key default true check (singleton),
  channel_id bigint not null default 0
) with (fillfactor = 10);
insert into sweep default values;
