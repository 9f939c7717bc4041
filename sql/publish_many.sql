-- Publishes a list of messages in one go and returns their ids in the order given:
--   [{"channel": "/a", "data": 1, "user_ids": ["7"], "group_ids": […], "client_ids": […], "site_id": "s",
--     "max_backlog_size": 10, "max_backlog_age": 60}, …]
-- All or none. The global counter is locked from here to the end of the transaction, which therefore should end
-- at once: this is for batches of their own. Channels are locked in sorted order, so that batches cannot deadlock.
-- Speaks of errors alone, as announce() does.
create or replace function publish_many(messages jsonb) returns bigint[]
language plpgsql security definer set search_path from current set enable_seqscan = off set jit = off set client_min_messages = error
as $$
declare
  total int;
  ids bigint[];
  due bigint[];
  s settings;
  grow record;
begin
  perform check_messages(publish_many.messages);
  total := jsonb_array_length(publish_many.messages);
  if total = 0 then
    return '{}';
  end if;
  select * into s from settings;

  -- Those that are missing are made first, then all are locked, both in sorted order. Not the other way round: with
  -- known channels locked, this would wait for another batch that makes the same new one and then wants those.
  insert into channels as c (site_id, channel, ring_size)
    select i.site, i.channel, max(coalesce(i.max_backlog_size, s.max_backlog_size))
    from batch_items(publish_many.messages) i
    where not exists (select from channels k where k.site_id = i.site and k.channel = i.channel)
    group by i.site, i.channel order by i.site, i.channel
    on conflict (site_id, channel) do nothing;
  perform from channels c join (select distinct i.site, i.channel from batch_items(publish_many.messages) i) w
      on w.site = c.site_id and w.channel = c.channel
    order by c.site_id, c.channel for no key update of c;
  for grow in
    select c.id, c.ring_size, max(coalesce(i.max_backlog_size, s.max_backlog_size)) as keep
    from batch_items(publish_many.messages) i join channels c on c.site_id = i.site and c.channel = i.channel
    group by c.id having max(coalesce(i.max_backlog_size, s.max_backlog_size)) > c.ring_size
  loop
    perform resize_ring(grow.id, least(greatest(grow.keep, 2 * grow.ring_size::bigint), 2147483647)::int);
  end loop;

  -- What this transaction has published before gets its global ids before.
  if pg_current_xact_id_if_assigned() is not null then
    set constraints announce immediate;
  end if;

  with item as materialized (
    select i.*, row_number() over (partition by i.site, i.channel order by i.n) as k
    from batch_items(publish_many.messages) i
  ), taken as (
    update channels c set
        last_id = c.last_id + t.count,
        first_id = greatest(c.first_id, c.last_id + t.past + 1),
        max_backlog_size = t.size
      from (
        select i.site, i.channel, max(i.k) as count, (array_agg(i.max_backlog_size order by i.k desc))[1] as size,
          max(i.k - coalesce(i.max_backlog_size, s.max_backlog_size)) as past
        from item i group by i.site, i.channel
      ) t
      where c.site_id = t.site and c.channel = t.channel
      returning c.id, c.site_id, c.channel, c.last_id, c.ring_size, t.count, t.size
  ), counted as (
    update bus set last_global_id = last_global_id + total
      returning last_global_id - total as before, ring_size
  ), numbered as materialized (
    select i.*, c.id as channel_id, c.last_id - c.count + i.k as message_id, g.before + i.n as global_id, c.ring_size,
      i.k > c.count - c.ring_size as kept
    from item i join taken c on c.site_id = i.site and c.channel = i.channel cross join counted g
  ), written as (
    insert into messages as m
      select channel_id, message_id % ring_size, message_id, global_id, clock_timestamp(),
        clock_timestamp() + make_interval(secs => max_backlog_age), user_ids, group_ids, client_ids, data
      from numbered where kept
      on conflict (channel_id, slot) do update set
        message_id = excluded.message_id, global_id = excluded.global_id, published_at = excluded.published_at,
        expires_at = excluded.expires_at, user_ids = excluded.user_ids, group_ids = excluded.group_ids,
        client_ids = excluded.client_ids, data = excluded.data
  ), windowed as (
    insert into global_ring as r
      select i.global_id % g.ring_size, i.global_id, i.channel_id, i.message_id
      from numbered i cross join counted g where i.n > total - g.ring_size
      on conflict (slot) do update set
        global_id = excluded.global_id, channel_id = excluded.channel_id, message_id = excluded.message_id
  ), line as (
    -- Lines over 1900 bytes go without their data. What is left is at most 2084 bytes, with the longest names: a payload
    -- then has at most 5800 + 2084 bytes of them, and 67 of its hash.
    select i.n, case when octet_length(l.full_line) <= 1900 then l.full_line
      else message_line(i.global_id, i.message_id, i.site, i.channel, null, null, null, '') end as line
    from numbered i, lateral (select message_line(i.global_id, i.message_id, i.site, i.channel, i.user_ids, i.group_ids, i.client_ids,
      case when pg_column_size(i.data) < 2000 then i.data::text else '' end) as full_line offset 0) l
  ), payload as (
    select string_agg(p.line, E'\n' order by p.n) as lines
    from (select l.n, l.line, sum(octet_length(l.line) + 1) over (order by l.n) / 5800 as part from line l) p
    group by p.part order by p.part
  ), notified as (
    select count(pg_notify(s.notify_channel, sign_payload(p.lines, s.notify_key))::text) as sent from payload p
  )
  select array_agg(i.message_id order by i.n), array_agg(i.channel_id) filter (where i.message_id % s.clear_every = 0)
    into ids, due from numbered i, notified;

  perform trim_channel(c.id, coalesce(c.max_backlog_size, s.max_backlog_size)) from channels c where c.id = any (due);
  return ids;
end
$$;
