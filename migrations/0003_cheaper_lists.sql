-- A list of messages takes a row for each 16 of them in the window over all channels, not one each. A row lies in the slot of
-- its first message. The 15 more slots keep it until the last of its messages has left the window.
alter table global_ring alter channel_id type bigint[] using array[channel_id], alter message_id type bigint[] using array[message_id];
alter table global_ring rename channel_id to channel_ids;
alter table global_ring rename message_id to message_ids;
alter table bus alter ring_size set default 2015;
update bus set ring_size = ring_size + 15;
update global_ring set slot = -1 - slot;
update global_ring r set slot = r.global_id % b.ring_size from bus b;

-- Messages up to here had left the window when its size was changed: with a larger one, their rows may still lie there.
alter table bus add passed_global_id bigint not null default 0;

-- sweep() goes from channel to channel.
drop table sweep;
create table sweep (
  singleton boolean primary key default true check (singleton),
  channel_id bigint not null default 0
) with (fillfactor = 10);
insert into sweep default values;
