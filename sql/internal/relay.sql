-- Publishes of what waits in the outbox as much as makes a batch, and returns whether that left some over. Never waits for a
-- channel: what is for one that an open transaction holds is passed over until later. The caller has locked relaying.
create or replace function publish_waiting() returns boolean
language plpgsql set enable_seqscan = off set jit = off
as $$
declare
  held text[] := '{}';
  batch bigint[];
  is_full boolean;
  known int;
  c record;
  items publication[];
begin
  loop
    select array_agg(w.id) filter (where w.size_before < 4000000), count(*) = 1000 or max(w.size_before) >= 4000000
      into batch, is_full from (
      select w.id, sum(w.size) over (order by w.id) - w.size as size_before from (
        select o.id, pg_column_size(o.data) as size from outbox o
        where o.xid = '0' and o.site || E'\n' || o.channel <> all (held) order by o.id limit 1000
      ) w
    ) w;
    if batch is null then
      return false;
    end if;
    known := cardinality(held);
    for c in
      select o.site, o.channel, count(*) over () as count from outbox o where o.xid = '0' and o.id = any (batch)
      group by o.site, o.channel order by o.site, o.channel
    loop
      if not try_lock_channel(c.site, c.channel) then
        held := held || (c.site || E'\n' || c.channel);
      end if;
    end loop;
    exit when cardinality(held) - known < c.count;
  end loop;
  with taken as (
    delete from outbox o where o.xid = '0' and o.id = any (batch) and o.site || E'\n' || o.channel <> all (held) returning o.*
  )
  select array_agg((t.site, t.channel, t.data, t.user_ids, t.group_ids, t.client_ids, t.max_backlog_size, t.max_backlog_age)::publication order by t.id)
    into items from taken t;
  perform publish_list(items);
  return is_full;
end
$$;

-- Locks a channel, which it creates if need be; false where another transaction holds it.
create or replace function try_lock_channel(site text, channel text) returns boolean
language plpgsql set enable_seqscan = off set jit = off set lock_timeout = '10ms'
as $$
#variable_conflict use_column
begin
  perform from channels t where t.site_id = try_lock_channel.site and t.channel = try_lock_channel.channel for no key update skip locked;
  if found then
    return true;
  end if;
  perform from channels t where t.site_id = try_lock_channel.site and t.channel = try_lock_channel.channel;
  if found then
    return false;
  end if;
  begin
    -- It may be there already, not to be seen yet: then this waits.
    insert into channels as t (site_id, channel, ring_size)
      select try_lock_channel.site, try_lock_channel.channel, s.max_backlog_size from settings s
      on conflict (site_id, channel) do update set last_id = t.last_id;
    return true;
  exception when lock_not_available then
    return false;
  end;
end
$$;

-- Asked by every node again and again: publishes a batch of what waits, where it falls to this node. Says what to do next:
--   never    the relay never was on: to ask again is in vain, until the settings change
--   off      the relay is off, and nothing waits; a transaction may still be open that put something down before
--   other    another node relays; it lost that right when it has not asked for a second
--   idle     this node relays; whatever waited is published, as far as it can be
--   busy     this node relays, and there was more than makes a batch
-- The right is a row of our own, not an advisory lock: any role could take that, and a pooler in between would lose it.
-- Nothing depends on it but who asks how often: batches of two nodes would still come one after the other, by the lock of
-- the row, and rows are deleted in the transaction that publishes them.
-- Asked again after a pause where a batch was not full: larger ones cost less a message, and leave more to those who commit.
-- Where nothing waits this writes next to nothing: it renews the right now and then, without a wait for the disk.
-- Speaks of errors alone, as announce() does.
create or replace function relay(node text) returns text
language plpgsql security definer set search_path from current set client_min_messages = error set enable_seqscan = off set jit = off
  set lock_timeout = '500ms'
as $$
declare
  r relaying;
  is_on boolean;
  was_on boolean;
  waits boolean;
begin
  select s.relay, s.relayed into is_on, was_on from settings s;
  if not was_on then
    return 'never';
  end if;
  select true into waits from outbox o where o.xid = '0' order by o.id limit 1;
  if not is_on and waits is null then
    return 'off';
  end if;
  select * into r from relaying;
  if r.node <> relay.node and r.seen_at > clock_timestamp() - interval '1 s' then
    return 'other';
  end if;
  if r.node = relay.node and r.seen_at > clock_timestamp() - interval '300 ms' and waits is null then
    return 'idle';
  end if;
  select * into r from relaying for update skip locked;
  if not found or r.node <> relay.node and r.seen_at > clock_timestamp() - interval '1 s' then
    return 'other';
  end if;
  if r.node <> relay.node or r.seen_at < clock_timestamp() - interval '300 ms' then
    update relaying set node = relay.node, seen_at = clock_timestamp();
  end if;
  if waits then
    return case when publish_waiting() then 'busy' else 'idle' end;
  end if;
  perform set_config('synchronous_commit', 'off', true);
  return 'idle';
end
$$;
