-- The last global id is in the window: see last_global_id().
-- Publishers may be at work; in their order of locks.
lock table turn in share update exclusive mode;
lock table bus in access exclusive mode;
create sequence newest_global_id;
select setval('newest_global_id', greatest(last_global_id, 1)) from bus;

-- A row of the window is for 16 global ids from a multiple of 16 on, whoever published them, and global_id is the last of them
-- that is in it. Rows began anywhere before; global_id was the first, the others follow it. Slots are of such rows: one more
-- than fit, as the window begins and ends in the middle of a row.
alter table bus alter ring_size set default 126;
update bus set ring_size = (s.max_global_backlog_size + 14::bigint) / 16 + 1 from settings s;
update global_ring set slot = -1 - slot;
insert into global_ring
  select e.global_id / 16 % b.ring_size, max(e.global_id), array_agg(e.channel_id order by e.global_id), array_agg(e.message_id order by e.global_id)
  from bus b cross join (
    select r.global_id + i.n - 1 as global_id, i.channel_id, i.message_id
    from global_ring r cross join unnest(r.channel_ids, r.message_ids) with ordinality i(channel_id, message_id, n)
  ) e
  where e.global_id / 16 > b.last_global_id / 16 - b.ring_size
  group by e.global_id / 16, b.ring_size;
delete from global_ring where slot < 0;

-- Should the window be empty.
update settings set expired_global_id = last_global_id from bus where not exists (select from global_ring);
alter table bus drop column last_global_id;
