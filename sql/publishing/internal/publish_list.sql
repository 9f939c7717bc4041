-- The one way by which lists of messages are published: checked already, all or none, ids in the order given. Channels
-- are locked in sorted order, new and known ones alike, and the turn to give out global ids last, so that lists cannot
-- deadlock. A few statements for the whole list: each costs as much as some messages. Most lists are for one channel,
-- and those need neither be sorted nor looked up row by row: half the time.
create or replace function publish_list(items publication[]) returns bigint[]
language plpgsql set enable_seqscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  total int := cardinality(items);
  texts text[];
  room int;
  first_item publication;
  is_one_channel boolean;
  s settings;
  c channels;
  -- By rank of the channel in the list.
  ranked_ids bigint[];
  counts int[];
  keeps int[];
  last_ids bigint[];
  rings int[];
  ranked_heads text[];
  is_wider boolean;
  has_new boolean;
  due bigint[] := '{}';
  -- By place in the list; a message that another one of the list pushes out has no slot.
  channel_ids bigint[];
  ids bigint[];
  slots int[];
  heads text[];
  global_before bigint;
  window_slots int;
  published timestamptz;
  expires bigint;
  lines text[];
  bytes bigint;
begin
  if total is null then
    return '{}';
  end if;
  select * into s from settings;
  room := least(s.max_data_size, 1900);
  first_item := items[1];
  -- The texts that may have room in a line; the others are measured. Before anything is locked: it may take a while.
  select array_agg(case when octet_length(t.text) <= room then t.text
    else checked_text(t.data, t.text, s.max_data_size, t.n) end),
      bool_and(t.is_like_first)
    into texts, is_one_channel
    from (
      select case when pg_column_size(u.data) < 2000
        and pg_column_compression(u.data) is null then u.data::text end as text, u.data, u.n,
        u.channel = first_item.channel and u.site = first_item.site and u.max_backlog_size is null as is_like_first
      from unnest(items) with ordinality u(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size,
        max_backlog_age, n) offset 0
    ) t;
  if is_one_channel then
    -- What is inserted of a channel that is there already says how much to add. first_id may be less than 1 then.
    insert into channels as t (site_id, channel, last_id, first_id, ring_size)
      values (items[1].site, items[1].channel, total, total - s.max_backlog_size + 1, s.max_backlog_size)
      on conflict (site_id, channel) do update set
        last_id = t.last_id + excluded.last_id, first_id = greatest(t.first_id, t.last_id + excluded.first_id),
        max_backlog_size = null,
        last_published_at = excluded.last_published_at
      returning * into c;
    if c.last_id = total then
      perform skip_forgotten(c.id, total);
      select * into c from channels t where t.id = c.id;
    end if;
    if c.ring_size < s.max_backlog_size then
      c.ring_size := wider_ring(c.ring_size, s.max_backlog_size);
      perform resize_ring(c.id, c.ring_size);
    end if;
    channel_ids := array_fill(c.id, array[total]);
    ids := array(select generate_series(c.last_id - total + 1, c.last_id));
    heads := array_fill(channel_head(c, s), array[total]);
    if c.last_id / s.clear_every > (c.last_id - total) / s.clear_every then
      due := array[c.id];
    end if;
  else
    with want as materialized (
      select w.site, w.channel, cardinality(w.sizes) as count, w.sizes[cardinality(w.sizes)] as size, z.past, z.keep
      from (
        select u.site, u.channel, array_agg(u.max_backlog_size order by u.n) as sizes
        from unnest(items) with ordinality u(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size,
          max_backlog_age, n)
        group by u.site, u.channel
      ) w
      cross join lateral (
        select max(z.k - coalesce(z.size, s.max_backlog_size)) as past,
          max(coalesce(z.size, s.max_backlog_size)) as keep
        from unnest(w.sizes) with ordinality z(size, k)
      ) z
      order by w.site, w.channel
    ), raised as (
      insert into channels as t (site_id, channel, last_id, first_id, max_backlog_size, ring_size)
        select site, channel, count, past + 1, size, keep from want
        on conflict (site_id, channel) do update set
          last_id = t.last_id + excluded.last_id, first_id = greatest(t.first_id, t.last_id + excluded.first_id),
          max_backlog_size = excluded.max_backlog_size, last_published_at = excluded.last_published_at
        returning t as channel
    )
    select w.counts, w.keeps, r.ids, r.last_ids, r.rings, r.heads, w.widest > r.narrowest, r.lowest <= total
      into counts, keeps, ranked_ids, last_ids, rings, ranked_heads, is_wider, has_new
      from (select array_agg(w.count) as counts, array_agg(w.keep) as keeps, max(w.keep) as widest from want w) w,
      (select array_agg((r.channel).id) as ids, array_agg((r.channel).last_id) as last_ids,
        array_agg((r.channel).ring_size) as rings, min((r.channel).ring_size) as narrowest,
        min((r.channel).last_id) as lowest, array_agg(channel_head(r.channel, s)) as heads from raised r) r;
    if has_new then
      for r in 1..cardinality(counts) loop
        continue when last_ids[r] <> counts[r];
        last_ids[r] := skip_forgotten(ranked_ids[r], counts[r]);
        ranked_heads[r] := (select channel_head(t, s) from channels t where t.id = ranked_ids[r]);
      end loop;
    end if;
    if is_wider then
      for r in 1..cardinality(rings) loop
        continue when keeps[r] <= rings[r];
        rings[r] := wider_ring(rings[r], keeps[r]);
        perform resize_ring(ranked_ids[r], rings[r]);
      end loop;
    end if;
    select array_agg(ranked_ids[m.r] order by m.n), array_agg(m.id order by m.n),
      array_agg(ranked_heads[m.r] order by m.n),
        array_agg(case when m.id > last_ids[m.r] - rings[m.r] then m.id % rings[m.r] end order by m.n)
      into channel_ids, ids, heads, slots
      from (select p.n, p.r, last_ids[p.r] - counts[p.r] + p.k as id from (
        select u.n, (dense_rank() over (order by u.site, u.channel))::int as r,
          row_number() over (partition by u.site, u.channel order by u.n) as k
        from unnest(items) with ordinality u(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size,
          max_backlog_age, n)
      ) p) m;
    due := array(select ranked_ids[r] from generate_series(1, cardinality(ranked_ids)) r
      where last_ids[r] / s.clear_every > (last_ids[r] - counts[r]) / s.clear_every);
  end if;

  select t.last_id - total, t.slots into global_before, window_slots from take_global_ids(total) t;
  published := clock_timestamp();

  if not is_one_channel or not overwrite(c, items, global_before, published) then
    slots := coalesce(slots, array(
      select case when i > c.last_id - c.ring_size then i % c.ring_size end
        from generate_series(c.last_id - total + 1, c.last_id) i));
    -- Rows are looked up one at a time, by way of "on conflict": the planner has no choice that goes wrong as tables
    -- grow.
    insert into messages as m
      select channel_ids[u.n], slots[u.n], ids[u.n], global_before + u.n, published,
        published + make_interval(secs => u.max_backlog_age),
        u.user_ids, u.group_ids, u.client_ids, u.data
      from unnest(items) with ordinality u(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size,
        max_backlog_age, n)
      where slots[u.n] is not null
      on conflict (channel_id, slot) do update set
        message_id = excluded.message_id, global_id = excluded.global_id, published_at = excluded.published_at,
        expires_at = excluded.expires_at, user_ids = excluded.user_ids, group_ids = excluded.group_ids,
        client_ids = excluded.client_ids, data = excluded.data;
  end if;

  insert into global_ring as r
    select n.block % window_slots, least(n.block * block_size() + block_size() - 1, global_before + total),
      channel_ids[greatest(n.block * block_size() - global_before,
        1):n.block * block_size() + block_size() - 1 - global_before],
      ids[greatest(n.block * block_size() - global_before, 1):n.block * block_size() + block_size() - 1 - global_before]
    from generate_series(greatest(block_of(global_before + 1), block_of(global_before + total) - window_slots + 1),
      block_of(global_before + total)) n(block)
    -- Only the first of these rows can have been begun before.
    on conflict (slot) do update set
      global_id = excluded.global_id,
      channel_ids = case when block_of(r.global_id) = block_of(excluded.global_id)
        then r.channel_ids || excluded.channel_ids
        else excluded.channel_ids end,
      message_ids = case when block_of(r.global_id) = block_of(excluded.global_id)
        then r.message_ids || excluded.message_ids
        else excluded.message_ids end;

  expires := microseconds(published + make_interval(secs => s.max_backlog_age));
  -- Lines over 1900 bytes go without their data. What is left is at most 2141 bytes, with the longest names: a payload
  -- then has at most 5700 + 2141 bytes of them, and 67 of its hash. In the order in which unnest() gives them.
  select array_agg(l.line), sum(octet_length(l.line) + 1) into lines, bytes
  from (
    select case when octet_length(f.line) <= 1900 then f.line else without_data(f.line) end as line
    from (
      select message_line(global_before + u.n, ids[u.n], heads[u.n],
        case when u.max_backlog_age is null then expires
          else microseconds(published + make_interval(secs => u.max_backlog_age)) end,
        u.user_ids, u.group_ids, u.client_ids, texts[u.n]) as line
      from unnest(items) with ordinality u(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size,
        max_backlog_age, n) offset 0
    ) f
  ) l;
  if bytes <= 5700 then
    perform pg_notify(s.notify_channel, sign_payload(array_to_string(lines, E'\n'), s.notify_key));
  else
    perform pg_notify(s.notify_channel, sign_payload(p.lines, s.notify_key))
    from (
      select string_agg(l.line, E'\n' order by l.n) as lines
      from (
        select u.line, u.n, sum(octet_length(u.line) + 1) over (order by u.n) / 5700 as part
          from unnest(lines) with ordinality u(line, n)
      ) l
      group by l.part order by l.part
    ) p;
  end if;

  if due <> '{}' then
    perform trim_channel(t.id, coalesce(t.max_backlog_size, s.max_backlog_size)) from channels t where t.id = any (due);
  end if;
  if (global_before + total) / s.clear_every > global_before / s.clear_every then
    perform sweep(least(2 * greatest(s.clear_every, total)::bigint, stretch())::int);
  end if;
  return ids;
end
$$;

-- For publish_list(): '', if the data of the message at this place is too long for a line, but not larger than it may
-- be.
create or replace function checked_text(data jsonb, as_text text, most int, n bigint) returns text
language plpgsql stable
as $$
begin
  return check_bytes(coalesce(octet_length(as_text), data_bytes(data, most)), most, format('messages[%s].data', n - 1));
end
$$;

-- Puts a list into the slots of a channel, whose last ids it has been given, where there are messages in all of them:
-- in the order of the index, without a look-up for each. False where there are not, or where the list goes round more
-- than once. Runs with the settings of publish_list().
create or replace function overwrite(c channels, items publication[], global_before bigint, published timestamptz)
  returns boolean
language plpgsql
as $$
declare
  total int := cardinality(items);
  before bigint := c.last_id - total;
  -- The slot before that of the first one; less than 0 for those after the end of the ring.
  shift bigint := before % c.ring_size;
  written int := 0;
  part int;
begin
  if total > c.ring_size then
    return false;
  end if;
  loop
    update messages m set
        message_id = before + m.slot - shift, global_id = global_before + m.slot - shift, published_at = published,
        expires_at = published + make_interval(secs => items[m.slot - shift].max_backlog_age),
        user_ids = items[m.slot - shift].user_ids,
        group_ids = items[m.slot - shift].group_ids, client_ids = items[m.slot - shift].client_ids,
          data = items[m.slot - shift].data
      where m.channel_id = c.id and m.slot between greatest(shift + 1, 0)::int
        and least(shift + total, c.ring_size - 1)::int;
    get diagnostics part = row_count;
    written := written + part;
    exit when shift + total < c.ring_size;
    shift := shift - c.ring_size;
  end loop;
  return written = total;
end
$$;
