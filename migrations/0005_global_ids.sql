-- The last global id is in the window: see last_global_id().
-- Publishers may be at work; in their order of locks.
lock table turn in share update exclusive mode;
lock table bus in access exclusive mode;
create sequence newest_global_id;
select setval('newest_global_id', greatest(last_global_id, 1)) from bus;

-- Of a row of the window, global_id is the last that is in it.
update global_ring set global_id = global_id + cardinality(channel_ids) - 1;

-- Should the window be empty.
update settings set expired_global_id = last_global_id from bus where not exists (select from global_ring);
alter table bus drop column last_global_id;
