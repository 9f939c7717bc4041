-- Puts a message down, to be published when the transaction commits. Locks nothing that anybody else may want until then:
-- for transactions that take their time, or touch many channels in any order. With settings.relay, a node publishes it soon
-- after, and the transaction's commit neither notifies nor waits for the counters.
create or replace function publish_later(
  channel text, data jsonb,
  user_ids text[] default null, group_ids text[] default null, client_ids text[] default null,
  site_id text default null, max_backlog_size int default null, max_backlog_age int default null
) returns void
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_column
declare
  is_right boolean;
  relay boolean;
begin
  -- The long condition on its own: what is not evaluated is not made ready either, in each transaction anew.
  is_right := is_channel(publish_later.channel);
  if num_nonnulls(publish_later.user_ids, publish_later.group_ids, publish_later.client_ids, publish_later.site_id, publish_later.max_backlog_size, publish_later.max_backlog_age) > 0 then
    is_right := is_message(publish_later.channel, publish_later.user_ids, publish_later.group_ids, publish_later.client_ids, publish_later.site_id, publish_later.max_backlog_size, publish_later.max_backlog_age);
  end if;
  if not is_right then
    perform check_message(publish_later.channel, publish_later.user_ids, publish_later.group_ids, publish_later.client_ids, publish_later.site_id, publish_later.max_backlog_size, publish_later.max_backlog_age);
  end if;
  insert into outbox as o (xid, site, channel, data, user_ids, group_ids, client_ids, max_backlog_size, max_backlog_age)
    select case when s.relay then '0' else pg_current_xact_id() end,
      case when is_global(publish_later.channel) then '' else coalesce(publish_later.site_id, '') end, publish_later.channel, coalesce(publish_later.data, 'null'),
      publish_later.user_ids, publish_later.group_ids, publish_later.client_ids, publish_later.max_backlog_size, publish_later.max_backlog_age
    from settings s
    returning o.xid = '0' into relay;
  if not relay and coalesce(current_setting('postbus.outbox', true), '') = '' then
    perform set_config('postbus.outbox', 'waiting', true);
  end if;
end
$$;
