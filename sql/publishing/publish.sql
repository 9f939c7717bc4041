-- Publishes a message and returns its id in the channel. The channel stays locked until the transaction ends:
-- that is what makes ids visible in their order and leaves no gap after a rollback.
create or replace function publish(
  channel text, data jsonb,
  user_ids text[] default null, group_ids text[] default null, client_ids text[] default null,
  site_id text default null, max_backlog_size int default null, max_backlog_age int default null
) returns bigint
language plpgsql security definer set search_path from current set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  site text collate "C" := '';
  every int;
  keep int;
  id bigint;
  last_id bigint;
  slots int;
  published timestamptz;
begin
  -- Whatever is evaluated here is made ready first, in each transaction anew: that takes longer than all that is
  -- written. So the long condition stands apart, and a channel is checked when it is new: one that is known was right
  -- then.
  if num_nonnulls(publish.user_ids, publish.group_ids, publish.client_ids, publish.site_id, publish.max_backlog_size,
    publish.max_backlog_age) > 0 then
    if num_nonnulls(publish.max_backlog_size, publish.max_backlog_age) > 0 then
      if not is_message(publish.channel, publish.user_ids, publish.group_ids, publish.client_ids, publish.site_id,
        publish.max_backlog_size, publish.max_backlog_age) then
        perform check_message(publish.channel, publish.user_ids, publish.group_ids, publish.client_ids, publish.site_id,
          publish.max_backlog_size, publish.max_backlog_age);
      end if;
      perform check_reach(publish.max_backlog_size, publish.max_backlog_age);
    elsif not is_message(publish.channel, publish.user_ids, publish.group_ids, publish.client_ids, publish.site_id,
      null, null) then
      perform check_message(publish.channel, publish.user_ids, publish.group_ids, publish.client_ids, publish.site_id,
        null, null);
    end if;
    site := site_of(publish.site_id, publish.channel);
  end if;
  -- One condition for what is rare, here and below: each takes time to make ready.
  if pg_column_size(publish.data) >= 8000 or pg_column_compression(publish.data) is not null
    or current_setting('postbus.outbox', true) = 'waiting' then
    if is_bulky(publish.data) then
      perform check_data(publish.data);
    end if;
    -- See publish_outbox().
    if current_setting('postbus.outbox', true) = 'waiting' then
      perform set_config('postbus.outbox', 'mixed', true);
    end if;
  end if;

  update channels c set
      last_id = c.last_id + 1, first_id = greatest(c.first_id,
        c.last_id + 2 - coalesce(publish.max_backlog_size, s.max_backlog_size)),
        max_backlog_size = publish.max_backlog_size, last_published_at = clock_timestamp()
    from settings s where c.site_id = site and c.channel = publish.channel collate "C"
    returning c.id, c.last_id, c.ring_size, s.clear_every, coalesce(publish.max_backlog_size, s.max_backlog_size),
      c.last_published_at
    into id, last_id, slots, every, keep, published;
  if not found then
    perform check_channel(publish.channel);
    select s.clear_every, coalesce(publish.max_backlog_size, s.max_backlog_size) into every, keep from settings s;
    insert into channels as c (site_id, channel, last_id, max_backlog_size, ring_size)
      values (site, publish.channel, 1, publish.max_backlog_size, keep)
      on conflict (site_id, channel) do update set
        last_id = c.last_id + 1, first_id = greatest(c.first_id, c.last_id + 2 - keep),
        max_backlog_size = publish.max_backlog_size,
        last_published_at = clock_timestamp()
      returning c.id, c.last_id, c.ring_size, c.last_published_at into id, last_id, slots, published;
    if last_id = 1 then
      last_id := skip_forgotten(id, 1);
    end if;
  end if;
  if slots < keep then
    slots := wider_ring(slots, keep);
    perform resize_ring(id, slots);
  end if;

  update messages m set
      message_id = last_id, global_id = null, published_at = published,
      expires_at = published + make_interval(secs => publish.max_backlog_age),
      user_ids = publish.user_ids, group_ids = publish.group_ids, client_ids = publish.client_ids,
        data = coalesce(publish.data, 'null')
    where m.channel_id = id and m.slot = last_id % slots;
  if not found then
    insert into messages values (id, last_id % slots, last_id, null, published,
      published + make_interval(secs => publish.max_backlog_age),
      publish.user_ids, publish.group_ids, publish.client_ids, coalesce(publish.data, 'null'));
  end if;
  if last_id % every = 0 then
    perform trim_channel(id, keep);
  end if;
  return last_id;
end
$$;
