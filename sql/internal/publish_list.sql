-- The one way by which lists of messages are published: checked already, all or none, ids in the order given. Channels are
-- locked in sorted order, new and known ones alike, and the turn to give out global ids last, so that lists cannot deadlock.
-- Rows are looked up one channel at a time, by their key: the planner has no choice that goes wrong as tables grow.
create or replace function publish_list(items publication[]) returns bigint[]
language plpgsql set enable_seqscan = off set jit = off
as $$
declare
  total int := cardinality(items);
  s settings;
  want record;
  c channels;
  -- By rank of the channel in the list.
  channel_ids bigint[] := '{}';
  ids_before bigint[] := '{}';
  counts int[] := '{}';
  rings int[] := '{}';
  first_ids bigint[] := '{}';
  global_before bigint;
  slots int;
  ids bigint[];
  due bigint[];
begin
  if total is null then
    return '{}';
  end if;
  select * into s from settings;
  for want in
    select i.site, i.channel, count(*)::int as count, (array_agg(i.size order by i.k desc))[1] as size,
      max(i.k - coalesce(i.size, s.max_backlog_size)) as past, max(coalesce(i.size, s.max_backlog_size)) as keep
    from (
      select u.site, u.channel, u.max_backlog_size as size, row_number() over (partition by u.site, u.channel order by u.n) as k
      from unnest(items) with ordinality u(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size, max_backlog_age, n)
    ) i
    group by i.site, i.channel order by i.site, i.channel
  loop
    update channels t set last_id = t.last_id + want.count, first_id = greatest(t.first_id, t.last_id + want.past + 1), max_backlog_size = want.size
      where t.site_id = want.site and t.channel = want.channel
      returning * into c;
    if not found then
      insert into channels as t (site_id, channel, last_id, first_id, max_backlog_size, ring_size)
        values (want.site, want.channel, want.count, greatest(1, want.past + 1), want.size, want.keep)
        on conflict (site_id, channel) do update set
          last_id = t.last_id + want.count, first_id = greatest(t.first_id, t.last_id + want.past + 1), max_backlog_size = want.size
        returning * into c;
    end if;
    if c.ring_size < want.keep then
      c.ring_size := least(greatest(want.keep, 2 * c.ring_size::bigint), 2147483647);
      perform resize_ring(c.id, c.ring_size);
    end if;
    channel_ids := channel_ids || c.id;
    ids_before := ids_before || c.last_id - want.count;
    counts := counts || want.count;
    rings := rings || c.ring_size;
    first_ids := first_ids || first_readable(c, s);
  end loop;

  -- What this transaction has published before gets its global ids before.
  if pg_current_xact_id_if_assigned() is not null then
    set constraints announce immediate;
  end if;
  lock table turn in share update exclusive mode;
  update bus set last_global_id = last_global_id + total
    returning last_global_id - total, ring_size into global_before, slots;

  with item as (
    select u.*, (dense_rank() over (order by u.site, u.channel))::int as r, row_number() over (partition by u.site, u.channel order by u.n) as k
    from unnest(items) with ordinality u(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size, max_backlog_age, n)
  ), numbered as materialized (
    select i.*, channel_ids[i.r] as channel_id, ids_before[i.r] + i.k as message_id, global_before + i.n as global_id,
      rings[i.r] as ring_size, i.k > counts[i.r] - rings[i.r] as kept, first_ids[i.r] as first_id, clock_timestamp() as published_at
    from item i
  ), written as (
    insert into messages as m
      select channel_id, message_id % ring_size, message_id, global_id, published_at,
        published_at + make_interval(secs => max_backlog_age), user_ids, group_ids, client_ids, data
      from numbered where kept
      on conflict (channel_id, slot) do update set
        message_id = excluded.message_id, global_id = excluded.global_id, published_at = excluded.published_at,
        expires_at = excluded.expires_at, user_ids = excluded.user_ids, group_ids = excluded.group_ids,
        client_ids = excluded.client_ids, data = excluded.data
  ), windowed as (
    insert into global_ring as r
      select i.global_id % slots, i.global_id, i.channel_id, i.message_id
      from numbered i where i.n > total - slots
      on conflict (slot) do update set
        global_id = excluded.global_id, channel_id = excluded.channel_id, message_id = excluded.message_id
  ), line as (
    -- Lines over 1900 bytes go without their data. What is left is at most 2141 bytes, with the longest names: a payload
    -- then has at most 5700 + 2141 bytes of them, and 67 of its hash.
    select i.n, case when octet_length(l.full_line) <= 1900 then l.full_line
      else message_line(i.global_id, i.message_id, i.site, i.channel, s.version, i.first_id, x.expires_at, null, null, null, '') end as line
    from numbered i,
    lateral (select i.published_at + make_interval(secs => coalesce(i.max_backlog_age, s.max_backlog_age)) as expires_at offset 0) x,
    lateral (select message_line(i.global_id, i.message_id, i.site, i.channel, s.version, i.first_id, x.expires_at, i.user_ids, i.group_ids, i.client_ids,
      case when pg_column_size(i.data) < 2000 then i.data::text else '' end) as full_line offset 0) l
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
