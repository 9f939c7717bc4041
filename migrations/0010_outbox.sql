-- publish_outbox() used to mark the row of a list that it had to postpone. Now it puts the whole list into one row.
drop trigger if exists publish_outbox on outbox;
alter table outbox drop column postponed, add column items publication[];

-- Rows that outlasted their transactions were hidden by a setting (postbus.outbox), which can do so no more. The nodes publish them.
with hidden as (delete from outbox o where o.xid is distinct from pg_current_xact_id_if_assigned() returning o.*)
insert into relay_outbox (channel, data, options, put_down_at)
  select h.channel, h.data, (h.site, h.channel, null, h.user_ids, h.group_ids, h.client_ids, h.max_backlog_size, h.max_backlog_age)::publication, h.put_down_at
  from hidden h order by h.xid, h.id;

-- They take the table now, whose types they look up.
drop function if exists change_targets(regclass, text, text), column_text(text, text), change_channel(text, text);
