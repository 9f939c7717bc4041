-- Publishes of what waits in relay_outbox as much as makes a batch. is_full: that left some over. upto: what was put
-- down by transactions before this one is done with. refused: how many were put aside. Never waits for a channel: what
-- is for one that an open transaction holds is passed over until later. The caller has locked relaying. In the order in
-- which transactions first wrote, and of each as it put its messages down: one that ended before another began comes
-- before it. What is yet to commit belongs to a transaction that is not over now. So whoever looks next can begin with
-- the oldest of those, and need not step over the dead rows of all that was published since the last vacuum.
create or replace function publish_waiting(from_xid xid8, out is_full boolean, out upto xid8, out refused int)
language plpgsql set enable_seqscan = off set jit = off
as $$
declare
  held text[] := '{}';
  batch tid[];
  names text[];
  locked text[];
  name text;
  size bigint;
  r record;
begin
  loop
    batch := '{}';
    names := '{}';
    size := 0;
    -- Before the rows are looked at: what was over by now, they show.
    upto := pg_snapshot_xmin(pg_current_snapshot());
    for r in
      select o.ctid, o.xid, coalesce((o.options).site, '') || E'\n' || o.channel as name,
        -- Unpacked, what is compressed may have many times its size.
        pg_column_size(o.data)::bigint * case when pg_column_compression(o.data) is null then 1 else 20 end
          + coalesce(pg_column_size(o.options)::bigint * case when pg_column_compression(o.options) is null then 1
            else 20 end, 0) as size
      from relay_outbox o
      where o.xid >= publish_waiting.from_xid and (held = '{}'
        or coalesce((o.options).site, '') || E'\n' || o.channel <> all (held))
      order by o.xid, o.id limit 1000
    loop
      batch := batch || r.ctid;
      names := names || r.name;
      size := size + coalesce(r.size, 0);
      exit when size >= 4000000;
    end loop;
    is_full := cardinality(batch) = 1000 or size >= 4000000;
    if is_full then
      upto := least(upto, r.xid);
    end if;
    if batch = '{}' then
      upto := case when held = '{}' then upto else from_xid end;
      refused := 0;
      return;
    end if;
    names := array(select distinct n from unnest(names) n order by n);
    locked := array(
      select n from unnest(names) n cross join lateral (
        select from channels c where c.site_id = split_part(n, E'\n', 1)
          and c.channel = split_part(n, E'\n', 2) for no key update skip locked
      ) c
    );
    if cardinality(locked) = cardinality(names) then
      exit;
    end if;
    foreach name in array array(select n from unnest(names) n where n <> all (locked) order by n) loop
      if try_lock_channel(split_part(name, E'\n', 1), split_part(name, E'\n', 2)) then
        locked := locked || name;
      else
        held := held || name;
      end if;
    end loop;
    exit when locked <> '{}';
  end loop;
  if held <> '{}' then
    upto := from_xid;
    batch := array(
      select o.ctid from relay_outbox o where o.ctid = any (batch)
        and coalesce((o.options).site, '') || E'\n' || o.channel = any (locked)
      order by o.xid, o.id
    );
  end if;
  refused := publish_or_refuse(batch);
end
$$;

-- Publishes these rows of relay_outbox, in their order; but for those that cannot be published, whatever the reason: a
-- trigger that somebody has put on our tables, or that they are too large. They are put aside, with the error, under
-- xid 0, and do not hold up the others. Returns how many. Found by halves. Where the fault is not with what is
-- published (no connection, a lock, a disk that is full or damaged, …), nothing is, and all of it is tried again.
create or replace function publish_or_refuse(batch tid[]) returns int
language plpgsql set enable_seqscan = off set jit = off
as $$
declare
  half int := cardinality(batch) / 2;
  items publication[];
  state text;
  reason text;
  large tid[];
begin
  begin
    with taken as (delete from relay_outbox o where o.ctid = any (batch) returning o.*)
    select array_agg((coalesce((t.options).site, ''), t.channel, coalesce(t.data, 'null'), (t.options).user_ids,
      (t.options).group_ids, (t.options).client_ids,
        (t.options).max_backlog_size, (t.options).max_backlog_age)::publication order by t.xid, t.id)
      into items from taken t;
    perform publish_list(items);
    -- Here, where it can still be told whose error it is.
    set constraints all immediate;
    return 0;
  exception when others then
    get stacked diagnostics state = returned_sqlstate, reason = message_text;
    if state ~ '^(08|25|40|53|55|57|58|XX00[12])' then
      raise;
    end if;
  end;
  if state = 'PB007' then
    -- All that are too large at once: not by halves, which would make the text of each again and again.
    -- Long numbers first: 150 bytes of them can have 50 MB of text, which takes a third of a second to make, and there
    -- may be 1000 such messages.
    large := array(
      select o.ctid from relay_outbox o, settings s where o.ctid = any (batch)
        and case when long_bytes(o.data, s.max_data_size) > s.max_data_size then true
          else data_bytes(o.data, s.max_data_size) > s.max_data_size end
    );
    batch := array(select b.id from unnest(batch) with ordinality b(id, n) where b.id <> all (large) order by b.n);
    if large <> '{}' then
      perform put_aside(large, state, 'data: has more bytes of text than max_data_size');
      return cardinality(large) + case when batch = '{}' then 0 else publish_or_refuse(batch) end;
    end if;
  end if;
  if half > 0 then
    return publish_or_refuse(batch[:half]) + publish_or_refuse(batch[half + 1:]);
  end if;
  perform put_aside(batch, state, reason);
  return 1;
end
$$;

-- Nothing of the content is read: it may be what cannot be.
create or replace function put_aside(refused tid[], state text, reason text) returns void
language sql set enable_seqscan = off set jit = off
as $$
  insert into refusals (id, sqlstate, error) select o.id, state, reason from relay_outbox o
    where o.ctid = any (refused);
  update relay_outbox o set xid = '0' where o.ctid = any (refused);
$$;

-- Locks a channel, which it creates if need be; false if another transaction holds it.
create or replace function try_lock_channel(site text, channel text) returns boolean
language plpgsql set enable_seqscan = off set jit = off set lock_timeout = '1ms'
as $$
#variable_conflict use_column
begin
  perform from channels t where t.site_id = try_lock_channel.site collate "C"
    and t.channel = try_lock_channel.channel collate "C" for no key update skip locked;
  if found then
    return true;
  end if;
  perform from channels t where t.site_id = try_lock_channel.site collate "C"
    and t.channel = try_lock_channel.channel collate "C";
  if found then
    return false;
  end if;
  begin
    -- If another transaction has created it and is not over, this waits: not long, because the caller may have the turn
    -- to give out global ids, and the other one wait for that.
    perform create_channel(try_lock_channel.site, try_lock_channel.channel);
    return true;
  exception when lock_not_available or deadlock_detected then
    return false;
  end;
end
$$;
