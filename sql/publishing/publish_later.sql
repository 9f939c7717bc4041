-- Puts a message down, to be published when the transaction commits. Locks nothing that anybody else may want until
-- then: for transactions that take their time, or touch many channels in any order. With settings.relay, a node
-- publishes it soon after, and the transaction's commit neither notifies nor waits for the counters. Each function and
-- each column named here is made ready in each transaction anew: what is asked for most often, with the relay and
-- without options, comes first and has as few of them as can be.
create or replace function publish_later(
  channel text, data jsonb,
  user_ids text[] default null, group_ids text[] default null, client_ids text[] default null,
  site_id text default null, max_backlog_size int default null, max_backlog_age int default null
) returns void
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_column
declare
  state text;
begin
  if num_nonnulls(publish_later.user_ids, publish_later.group_ids, publish_later.client_ids, publish_later.site_id,
    publish_later.max_backlog_size, publish_later.max_backlog_age) = 0
    and is_channel(publish_later.channel) and not is_bulky(publish_later.data) then
    insert into relay_outbox (channel, data) select publish_later.channel, publish_later.data from settings s
      where s.relay;
  else
    if not is_message(publish_later.channel, publish_later.user_ids, publish_later.group_ids, publish_later.client_ids,
      publish_later.site_id, publish_later.max_backlog_size, publish_later.max_backlog_age) then
      perform check_message(publish_later.channel, publish_later.user_ids, publish_later.group_ids,
        publish_later.client_ids, publish_later.site_id, publish_later.max_backlog_size, publish_later.max_backlog_age);
    end if;
    if num_nonnulls(publish_later.max_backlog_size, publish_later.max_backlog_age) > 0 then
      perform check_reach(publish_later.max_backlog_size, publish_later.max_backlog_age);
    end if;
    if is_bulky(publish_later.data) then
      perform check_data(publish_later.data);
    end if;
    insert into relay_outbox (channel, data, options)
      select publish_later.channel, publish_later.data,
        (site_of(publish_later.site_id, publish_later.channel), publish_later.channel, null,
        publish_later.user_ids, publish_later.group_ids, publish_later.client_ids, publish_later.max_backlog_size,
          publish_later.max_backlog_age)::publication
      from settings s where s.relay;
  end if;
  if found then
    return;
  end if;
  insert into outbox (xid, site, channel, data, user_ids, group_ids, client_ids, max_backlog_size, max_backlog_age)
    values (
    pg_current_xact_id(), site_of(publish_later.site_id, publish_later.channel), publish_later.channel,
    coalesce(publish_later.data, 'null'),
    publish_later.user_ids, publish_later.group_ids, publish_later.client_ids, publish_later.max_backlog_size,
      publish_later.max_backlog_age);
  -- See publish_outbox().
  if coalesce(current_setting('postbus.outbox', true), '') not in ('waiting', 'mixed') then
    state := set_config('postbus.outbox', 'waiting', true);
  end if;
end
$$;
