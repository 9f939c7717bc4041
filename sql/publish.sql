-- Publishes a message and returns its id in the channel. The channel stays locked until the transaction ends:
-- that is what makes ids visible in their order and leaves no gap after a rollback.
create or replace function publish(
  channel text, data jsonb,
  user_ids text[] default null, group_ids text[] default null, client_ids text[] default null,
  site_id text default null, max_backlog_size int default null, max_backlog_age int default null
) returns bigint
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_column
declare
  site text;
  every int;
  keep int;
  id bigint;
  last_id bigint;
  slots int;
  published timestamptz;
  expires timestamptz;
begin
  if not is_message(publish.channel, publish.user_ids, publish.group_ids, publish.client_ids, publish.site_id, publish.max_backlog_size, publish.max_backlog_age) then
    perform check_message(publish.channel, publish.user_ids, publish.group_ids, publish.client_ids, publish.site_id, publish.max_backlog_size, publish.max_backlog_age);
  end if;
  -- See publish_outbox().
  if current_setting('postbus.outbox', true) = 'waiting' then
    perform set_config('postbus.outbox', 'mixed', true);
  end if;
  site := case when is_global(publish.channel) then '' else coalesce(publish.site_id, '') end;
  select s.clear_every, coalesce(publish.max_backlog_size, s.max_backlog_size) into every, keep from settings s;

  update channels c set
      last_id = c.last_id + 1, first_id = greatest(c.first_id, c.last_id + 2 - keep), max_backlog_size = publish.max_backlog_size
    where c.site_id = site and c.channel = publish.channel
    returning c.id, c.last_id, c.ring_size into id, last_id, slots;
  if not found then
    insert into channels as c (site_id, channel, last_id, max_backlog_size, ring_size)
      values (site, publish.channel, 1, publish.max_backlog_size, keep)
      on conflict (site_id, channel) do update set
        last_id = c.last_id + 1, first_id = greatest(c.first_id, c.last_id + 2 - keep), max_backlog_size = publish.max_backlog_size
      returning c.id, c.last_id, c.ring_size into id, last_id, slots;
  end if;
  if slots < keep then
    slots := least(greatest(keep, 2 * slots::bigint), 2147483647);
    perform resize_ring(id, slots);
  end if;

  published := clock_timestamp();
  expires := published + make_interval(secs => publish.max_backlog_age);
  update messages m set
      message_id = last_id, global_id = null, published_at = published, expires_at = expires,
      user_ids = publish.user_ids, group_ids = publish.group_ids, client_ids = publish.client_ids, data = coalesce(publish.data, 'null')
    where m.channel_id = id and m.slot = last_id % slots;
  if not found then
    insert into messages values (id, last_id % slots, last_id, null, published, expires,
      publish.user_ids, publish.group_ids, publish.client_ids, coalesce(publish.data, 'null'));
  end if;
  if last_id % every = 0 then
    perform trim_channel(id, keep);
  end if;
  return last_id;
end
$$;
