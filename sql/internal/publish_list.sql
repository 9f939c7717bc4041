-- The one way by which lists of messages are published: checked already, all or none, ids in the order given. Channels are
-- locked in sorted order, new and known ones alike, and the turn to give out global ids last, so that lists cannot deadlock.
-- Three statements for the whole list: each costs as much as some messages. Rows are looked up one at a time, by way of "on
-- conflict": the planner has no choice that goes wrong as tables grow.
create or replace function publish_list(items publication[]) returns bigint[]
language plpgsql set enable_seqscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  total int := cardinality(items);
  has_written boolean := pg_current_xact_id_if_assigned() is not null;
  s settings;
  -- By rank of the channel in the list.
  channel_ids bigint[];
  counts int[];
  keeps int[];
  ids_after bigint[];
  rings int[];
  is_wider boolean;
  first_ids bigint[];
  global_before bigint;
  slots int;
  published timestamptz;
  ids bigint[];
  due bigint[];
begin
  if total is null then
    return '{}';
  end if;
  select * into s from settings;
  with want as materialized (
    select w.site, w.channel, cardinality(w.sizes) as count, w.sizes[cardinality(w.sizes)] as size, z.past, z.keep
    from (
      select u.site, u.channel, array_agg(u.max_backlog_size order by u.n) as sizes
      from unnest(items) with ordinality u(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size, max_backlog_age, n)
      group by u.site, u.channel
    ) w
    cross join lateral (
      select max(z.k - coalesce(z.size, s.max_backlog_size)) as past, max(coalesce(z.size, s.max_backlog_size)) as keep
      from unnest(w.sizes) with ordinality z(size, k)
    ) z
    order by w.site, w.channel
  ), raised as (
    -- What is inserted of a channel that is there already says how much to add. first_id may be less than 1 then.
    insert into channels as t (site_id, channel, last_id, first_id, max_backlog_size, ring_size)
      select site, channel, count, past + 1, size, keep from want
      on conflict (site_id, channel) do update set
        last_id = t.last_id + excluded.last_id, first_id = greatest(t.first_id, t.last_id + excluded.first_id),
        max_backlog_size = excluded.max_backlog_size
      returning t as c
  )
  select w.counts, w.keeps, r.ids, r.last_ids, r.rings, r.first_ids, w.widest > r.narrowest into counts, keeps, channel_ids, ids_after, rings, first_ids, is_wider
    from (select array_agg(count) as counts, array_agg(keep) as keeps, max(keep) as widest from want) w,
    (select min((c).ring_size) as narrowest, array_agg((c).id) as ids, array_agg((c).last_id) as last_ids, array_agg((c).ring_size) as rings, array_agg(first_readable(c, s)) as first_ids from raised) r;
  if is_wider then
    for r in 1..cardinality(rings) loop
      continue when keeps[r] <= rings[r];
      rings[r] := least(greatest(keeps[r], 2 * rings[r]::bigint), 2147483647);
      perform resize_ring(channel_ids[r], rings[r]);
    end loop;
  end if;

  -- What this transaction has published before gets its global ids before.
  if has_written then
    set constraints announce immediate;
  end if;
  lock table turn in share update exclusive mode;
  update bus set last_global_id = last_global_id + total
    returning last_global_id - total, ring_size, clock_timestamp() into global_before, slots, published;

  with item as (
    select u.*, (dense_rank() over (order by u.site, u.channel))::int as r, row_number() over (partition by u.site, u.channel order by u.n) as k
    from unnest(items) with ordinality u(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size, max_backlog_age, n)
    where cardinality(channel_ids) > 1
    union all
    -- Nothing to sort.
    select u.*, 1, u.n
    from unnest(items) with ordinality u(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size, max_backlog_age, n)
    where cardinality(channel_ids) = 1
  ), numbered as materialized (
    select i.*, channel_ids[i.r] as channel_id, ids_after[i.r] - counts[i.r] + i.k as message_id, global_before + i.n as global_id,
      rings[i.r] as ring_size, i.k > counts[i.r] - rings[i.r] as kept, first_ids[i.r] as first_id,
      published + make_interval(secs => max_backlog_age) as expires_at
    from item i
  ), written as (
    insert into messages as m
      select channel_id, message_id % ring_size, message_id, global_id, published, expires_at, user_ids, group_ids, client_ids, data
      from numbered where kept
      on conflict (channel_id, slot) do update set
        message_id = excluded.message_id, global_id = excluded.global_id, published_at = excluded.published_at,
        expires_at = excluded.expires_at, user_ids = excluded.user_ids, group_ids = excluded.group_ids,
        client_ids = excluded.client_ids, data = excluded.data
  ), windowed as (
    insert into global_ring as r
      select min(i.global_id) / 16 % slots, min(i.global_id), array_agg(i.channel_id order by i.n), array_agg(i.message_id order by i.n)
      from numbered i where i.global_id / 16 > (global_before + total) / 16 - slots group by i.global_id / 16
      -- Only the first of these rows can have been begun before.
      on conflict (slot) do update set
        global_id = case when r.global_id / 16 = excluded.global_id / 16 then r.global_id else excluded.global_id end,
        channel_ids = case when r.global_id / 16 = excluded.global_id / 16 then r.channel_ids || excluded.channel_ids else excluded.channel_ids end,
        message_ids = case when r.global_id / 16 = excluded.global_id / 16 then r.message_ids || excluded.message_ids else excluded.message_ids end
  ), line as (
    -- Lines over 1900 bytes go without their data. What is left is at most 2141 bytes, with the longest names: a payload
    -- then has at most 5700 + 2141 bytes of them, and 67 of its hash.
    select i.n, case when octet_length(l.full_line) <= 1900 then l.full_line
      else message_line(i.global_id, i.message_id, i.site, i.channel, s.version, i.first_id, l.expires_at, null, null, null, '') end as line
    from numbered i,
    lateral (select x.expires_at, message_line(i.global_id, i.message_id, i.site, i.channel, s.version, i.first_id, x.expires_at, i.user_ids, i.group_ids, i.client_ids,
      case when pg_column_size(i.data) < 2000 then i.data::text else '' end) as full_line
      from (select coalesce(i.expires_at, published + make_interval(secs => s.max_backlog_age)) as expires_at) x offset 0) l
  ), payload as (
    select string_agg(p.line, E'\n' order by p.n) as lines
    from (select l.n, l.line, sum(octet_length(l.line) + 1) over (order by l.n) / 5700 as part from line l) p
    group by p.part order by p.part
  ), notified as (
    select count(pg_notify(s.notify_channel, sign_payload(p.lines, s.notify_key))::text) as sent from payload p
  )
  select array_agg(i.message_id order by i.n), array_agg(i.channel_id) filter (where i.message_id % s.clear_every = 0)
    into ids, due from numbered i, notified;

  if due is not null then
    perform trim_channel(t.id, coalesce(t.max_backlog_size, s.max_backlog_size)) from channels t where t.id = any (due);
  end if;
  if (global_before + total) / s.clear_every > global_before / s.clear_every then
    perform sweep(least(2 * greatest(s.clear_every, total)::bigint, 10000)::int);
  end if;
  return ids;
end
$$;
