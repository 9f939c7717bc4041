-- What a node asks of the database. A role that runs nodes needs EXECUTE on these, besides the public functions.

-- What a node has to know before it hears anything, and looks at every two seconds: the NOTIFY channel and the key that
-- signs payloads; which past this is (see incarnation.sql), and whether the message that the node has seen last is
-- still in it; the last message that there is, for a node that has seen none; the time, and the age of messages. Some
-- look-ups by index, nothing is written. No channel and no key: the bus is not complete. A dump restores data before
-- triggers, and migrate puts back single rows.
create or replace function node_state(
  seen_global_id bigint default null, seen_site text default null, seen_channel text default null,
  seen_message_id bigint default null, seen_version bigint default null, seen_expires bigint default null,
  out notify_channel text, out notify_key bytea, out incarnation text, out home text, out is_known boolean,
  out global_id bigint, out site text, out channel text, out message_id bigint, out version bigint, out expires bigint,
  out now bigint, out max_age bigint
)
language plpgsql stable security definer set search_path from current set enable_seqscan = off set jit = off
as $$
#variable_conflict use_column
begin
  select s.notify_channel, s.notify_key, i.id, incarnation_home(), last_global_id(), s.version,
    microseconds(statement_timestamp()), s.max_backlog_age * 1000000::bigint
    into node_state.notify_channel, node_state.notify_key, node_state.incarnation, home, node_state.global_id,
      node_state.version, now, max_age
    from settings s cross join bus cross join sweep cross join relaying cross join incarnation i
    where exists (select from pg_trigger t where t.tgrelid = 'messages'::regclass and t.tgname = 'announce');
  if not found then
    return;
  end if;
  if seen_global_id is not null then
    is_known := is_known(seen_global_id, seen_site, seen_channel, seen_message_id, seen_version, seen_expires);
  end if;
  select c.site_id, c.channel, m.message_id,
      microseconds(coalesce(m.expires_at, m.published_at + make_interval(secs => s.max_backlog_age)))
    into node_state.site, node_state.channel, node_state.message_id, node_state.expires
    from settings s cross join bus b
    cross join lateral (select t.* from global_ring t
      where t.slot = (block_of(node_state.global_id) % b.ring_size)::int offset 0) r
    cross join lateral (select t.* from channels t where t.id = r.channel_ids[cardinality(r.channel_ids)] offset 0) c
    cross join lateral (
      select t.* from messages t
      where t.channel_id = c.id and t.slot = (r.message_ids[cardinality(r.message_ids)] % c.ring_size)::int offset 0
    ) m
    where r.global_id = node_state.global_id and m.global_id = node_state.global_id;
end
$$;

-- Where the readers of a channel, or of all where there is no name, go on when the past has turned out to be another
-- one: null where they stand, if the last message that their node has seen is still the same; or else behind the last
-- message that is not younger than seen_at, in microseconds: when the last message was published that the node knows
-- of, give or take one microsecond by which the node's arithmetic may be off.
create or replace function find_places(
  sites text[], channel_names text[], seen_ids bigint[], seen_global_ids bigint[], seen_expires bigint[], seen_at bigint
) returns bigint[]
language plpgsql stable security definer set search_path from current set enable_seqscan = off set jit = off
as $$
declare
  places bigint[] := array_fill(null::bigint, array[cardinality(seen_ids)]);
  place bigint;
  c channels;
  m record;
begin
  for i in 1..cardinality(seen_ids) loop
    place := null;
    if channel_names[i] is null then
      continue when exists (
        select from global_backlog(seen_ids[i] - 1) g cross join settings s cross join channels k cross join messages t
        where g.global_id = seen_ids[i] and k.site_id = coalesce(g.site_id, '') and k.channel = g.channel
          and t.channel_id = k.id and t.slot = (g.message_id % k.ring_size)::int
          and microseconds(coalesce(t.expires_at, t.published_at + make_interval(secs => s.max_backlog_age)))
            = seen_expires[i]
      );
      select coalesce(min(g.global_id) - 1, last_global_id()) into place from global_backlog(0) g
        where microseconds(g.published_at) > seen_at + 1;
    elsif is_known(seen_global_ids[i], sites[i], channel_names[i], seen_ids[i], null, seen_expires[i]) is not true then
      select * into c from channels t where t.site_id = sites[i] collate "C"
        and t.channel = channel_names[i] collate "C";
      place := coalesce(c.last_id, 0);
      -- From the end, as few are new: published_at rises with the ids of a channel.
      for m in
        select t.message_id, t.published_at from generate_series(c.last_id, greatest(c.first_id, c.last_id - 999),
          -1) id
        cross join lateral (select t.* from messages t
          where t.channel_id = c.id and t.slot = (id % c.ring_size)::int offset 0) t
        where t.message_id = id
      loop
        exit when microseconds(m.published_at) <= seen_at + 1;
        place := m.message_id - 1;
      end loop;
    end if;
    -- Of an empty channel that is empty again, nobody has missed anything.
    places[i] := case when place > 0 or seen_ids[i] is distinct from 0 then place end;
  end loop;
  return places;
end
$$;

-- publish_many() for nodes, which have checked their messages and send them in batches of their own. Refuses to wait
-- long for a lock (55P03, nothing is published then): a transaction that has published to one of the channels and stays
-- open would hold up the other channels of the batch, and whoever publishes to those. Speaks of errors alone, as
-- announce() does.
create or replace function publish_batch(messages jsonb) returns bigint[]
language plpgsql security definer set search_path from current set client_min_messages = error
  set lock_timeout = '500ms'
as $$
declare
  items publication[];
  m publication;
  id bigint;
  names_limits boolean;
begin
  select array_agg(p.item order by p.n), count((p.item).max_backlog_size) + count((p.item).max_backlog_age) > 0
    into items, names_limits from batch_publications(messages) p;
  if cardinality(items) > 1 then
    if names_limits then
      perform check_list_reach(items);
    end if;
    if pg_current_xact_id_if_assigned() is not null then
      return publish_in_order(items);
    end if;
    return publish_list(items);
  end if;
  -- In half the time.
  m := items[1];
  id := publish(m.channel, m.data, m.user_ids, m.group_ids, m.client_ids, nullif(m.site, ''), m.max_backlog_size,
    m.max_backlog_age);
  -- Now, while the wait for the turn is bounded.
  set constraints announce immediate;
  return array[id];
end
$$;

-- Of channels, given with their sites, which another transaction has published to and not ended. One that is not there
-- is created on trial, to see whether somebody else is about to: before the others are locked, as that may take a
-- moment.
create or replace function held_channels(sites text[], channel_names text[]) returns boolean[]
language plpgsql security definer set search_path from current set client_min_messages = error
  set lock_timeout = '500ms'
as $$
declare
  total int := coalesce(cardinality(sites), 0);
  is_new boolean[] := array_fill(false, array[total]);
  held boolean[] := array_fill(true, array[total]);
begin
  for i in 1..total loop
    continue when exists (select from channels t
      where t.site_id = sites[i] collate "C" and t.channel = channel_names[i] collate "C");
    is_new[i] := true;
    begin
      set local lock_timeout = 1;
      insert into channels (site_id, channel, ring_size) values (sites[i], channel_names[i], 1) on conflict do nothing;
      if found then
        raise exception 'on trial';
      end if;
    exception
      when lock_not_available then null;
      when raise_exception then held[i] := false;
    end;
  end loop;
  for i in 1..total loop
    continue when is_new[i];
    perform from channels t where t.site_id = sites[i] collate "C"
      and t.channel = channel_names[i] collate "C" for no key update skip locked;
    held[i] := not found;
  end loop;
  return held;
end
$$;

-- Many reads in one: for each (site, channel, after) its messages, a row each, and a last row without a message. after:
-- an id; -1 from now on; -2 the last message, -3 the last two …; all from one snapshot. sites: '' for none. Data comes
-- as text, ready to be sent. A read ends with the message that fills a page of half a megabyte: up_to, in its last row,
-- tells how far it got, last_id how far there is to go. Row by row, so that what is beyond the page is not even
-- unpacked. What is true of the tail of messages that nodes keep comes with it: by the settings of this version, the
-- channel can be read from first_id on, each message until expires, in microseconds, as is now. A message that is too
-- large to be sent (see read_ceiling) is passed over: it can be there by hand, or from before there was a limit. The
-- page ends with it: one that takes long to look at is enough. A page looks at no more than 10,000 ids.
create or replace function read_channels(sites text[], channel_names text[], after_ids bigint[]) returns table (
  request int, last_id bigint, message_id bigint, global_id bigint, user_ids text[], group_ids text[],
  client_ids text[], data text, up_to bigint,
  version bigint, first_id bigint, expires bigint, now bigint
)
language plpgsql stable security definer set search_path from current set enable_seqscan = off set jit = off
  set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  s settings;
  r record;
  c channels;
  m record;
  start bigint;
  total int;
begin
  select * into s from settings;
  version := s.version;
  now := microseconds(statement_timestamp());
  for r in select u.n, u.site, u.channel, u.after_id
    from unnest(sites, channel_names, after_ids) with ordinality u(site, channel, after_id, n) loop
    select * into c from channels t where t.site_id = r.site collate "C" and t.channel = r.channel collate "C";
    request := r.n - 1;
    last_id := coalesce(c.last_id, 0);
    first_id := coalesce(first_readable(c, s), 1);
    up_to := last_id;
    total := 0;
    if c.id is not null and (r.after_id < -1 or r.after_id between 0 and c.last_id - 1) then
      start := greatest(case when r.after_id < 0 then c.last_id + r.after_id + 1 else r.after_id end, first_id - 1);
      up_to := least(start + stretch(), last_id);
      -- A query computes at less cost than a loop does. But it runs some rows ahead of the loop, so it makes no text.
      for m in
        select t.message_id, t.global_id, t.user_ids, t.group_ids, t.client_ids, t.data,
          microseconds(coalesce(t.expires_at, t.published_at + make_interval(secs => s.max_backlog_age))) as expires,
          has_plain_text(t.data, t.user_ids, t.group_ids, t.client_ids) as is_plain
        from readable(c, start, up_to) t where t.global_id is not null order by t.message_id
      loop
        if total >= page_bytes() then
          up_to := m.message_id - 1;
          exit;
        end if;
        data := case when m.is_plain then m.data::text
          else readable_text(m.data, m.user_ids, m.group_ids, m.client_ids) end;
        if data is null then
          up_to := m.message_id;
          exit;
        end if;
        message_id := m.message_id;
        global_id := m.global_id;
        user_ids := m.user_ids;
        group_ids := m.group_ids;
        client_ids := m.client_ids;
        expires := m.expires;
        total := total + octet_length(data);
        return next;
      end loop;
    end if;
    message_id := null;
    data := null;
    return next;
  end loop;
end
$$;

-- What tells whether the messages that a node keeps of these channels are all that there are to read, and may be. Asked
-- for each time that somebody wants to know what is new, hence a loop of look-ups: much cheaper than a join.
create or replace function read_heads(sites text[], channel_names text[], out last_ids bigint[], out version bigint,
  out now bigint)
language plpgsql stable parallel safe security definer set search_path from current set enable_seqscan = off
  set jit = off
as $$
begin
  select s.version, microseconds(statement_timestamp()) into read_heads.version, read_heads.now from settings s;
  for i in 1..cardinality(channel_names) loop
    last_ids[i] := coalesce((select c.last_id from channels c
      where c.site_id = sites[i] collate "C" and c.channel = channel_names[i] collate "C"), 0);
  end loop;
end
$$;

-- The same for all channels together, by global id.
create or replace function read_global(after_global_id bigint) returns table (
  last_global_id bigint, message_id bigint, global_id bigint, site text, channel text, user_ids text[],
  group_ids text[], client_ids text[], data text, up_to bigint
)
language plpgsql stable security definer set search_path from current set jit = off
as $$
#variable_conflict use_column
declare
  m message;
  total int := 0;
begin
  up_to := last_global_id();
  last_global_id := up_to;
  for m in
    select * from global_backlog(case when after_global_id < 0 then greatest(last_global_id + after_global_id + 1, 0)
      else after_global_id end) g
    order by g.global_id
  loop
    if total >= page_bytes() then
      up_to := m.global_id - 1;
      exit;
    end if;
    data := readable_text(m.data, m.user_ids, m.group_ids, m.client_ids);
    if data is null then
      up_to := m.global_id;
      exit;
    end if;
    message_id := m.message_id;
    global_id := m.global_id;
    site := coalesce(m.site_id, '');
    channel := m.channel;
    user_ids := m.user_ids;
    group_ids := m.group_ids;
    client_ids := m.client_ids;
    total := total + octet_length(data);
    return next;
  end loop;
  message_id := null;
  return next;
end
$$;

-- One message as read_channels() gives it, or no row.
create or replace function read_message(site text, channel text, message_id bigint) returns table (
  global_id bigint, user_ids text[], group_ids text[], client_ids text[], data text
)
language sql stable security definer set search_path from current set enable_seqscan = off set jit = off
as $$
  select m.global_id, m.user_ids, m.group_ids, m.client_ids, t.data
  from channels c cross join readable(c, read_message.message_id - 1, read_message.message_id) m
  cross join readable_text(m.data, m.user_ids, m.group_ids, m.client_ids) t(data)
  where c.site_id = read_message.site collate "C" and c.channel = read_message.channel collate "C"
    and t.data is not null
$$;
