-- Runs at commit for each row that publish_later() has put into the outbox. The first one publishes all that the
-- transaction has there, as one list; the others find their rows gone. It takes rows from its own id on, not all: while
-- constraints are immediate, the rows published before are dead, but the index still leads to them.
--
-- That a row is published depends on the row alone. Settings of the transaction, undone by savepoints as the rows are,
-- tell what deserves a closer look. Any role can set them to anything, so no work is left out because of them:
--   postbus.outbox  waiting: there are rows in the outbox. mixed: publish() was called after that. locked: announce()
--   has locked
--                   the channels of the rows
--   postbus.on_error  warn: publish_changes() has put some of the rows down, with on_error 'warn'
--   postbus.turn    taken: this transaction has given out global ids, see take_global_ids()
--
-- Client messages: errors only, as in announce().
create or replace function publish_outbox() returns trigger
language plpgsql security definer set search_path from current set client_min_messages = error set enable_seqscan = off
  set jit = off
as $$
declare
  state text := current_setting('postbus.outbox', true);
  items publication[];
  m publication;
  id bigint;
begin
  perform from outbox o where o.xid = new.xid and o.id = new.id;
  if not found then
    return null;
  end if;
  with taken as (
    delete from outbox o where o.xid = new.xid and o.id >= new.id and (o.items is null or o.id = new.id) returning o.*
  )
  select new.items || array_agg((t.site, t.channel, t.data, t.user_ids, t.group_ids, t.client_ids, t.max_backlog_size,
    t.max_backlog_age)::publication order by t.id)
      filter (where t.items is null)
    into items from taken t;

  -- publish() has given ids to messages that announce() has yet to give global ids to. A list gets both at once, so it
  -- has to wait until then: it goes back into the outbox as one row, whose event comes after those of announce().
  if cardinality(items) > 1 and new.items is null and (state = 'mixed' or has_unannounced(items)) then
    state := set_config('postbus.outbox', 'waiting', true);
    set constraints publish_outbox deferred;
    insert into outbox (xid, site, channel, data, items) values (new.xid, '', '', 'null', items);
    return null;
  end if;
  if state is distinct from 'locked' and current_setting('postbus.turn', true) = 'taken' and has_turn() then
    items := lock_or_relay(items);
  end if;
  state := set_config('postbus.outbox', '', true);
  if items = '{}' then
    return null;
  elsif current_setting('postbus.on_error', true) = 'warn' then
    perform publish_or_leave(items);
  elsif cardinality(items) = 1 then
    -- In half the time.
    m := items[1];
    if num_nonnulls(m.max_backlog_size, m.max_backlog_age) = 0 then
      id := publish(m.channel, m.data, m.user_ids, m.group_ids, m.client_ids, nullif(m.site, ''));
    else
      id := publish_checked(m);
    end if;
  elsif new.items is not null and has_unannounced(items) then
    perform publish_each(items);
  else
    perform publish_list(items);
  end if;
  return null;
end
$$;

-- Publishes a list; or leaves it to the nodes if a lock is not to be had within the lock_timeout of the session: where
-- it was said that errors are only warned of, the commit must not fail because of it. As a list, because that gets its
-- global ids here.
create or replace function publish_or_leave(items publication[]) returns void
language plpgsql
as $$
begin
  if has_unannounced(items) then
    perform publish_each(items);
  else
    perform publish_list(items);
  end if;
exception when lock_not_available then
  perform leave_to_nodes(items);
  -- A node that has never relayed does not ask again before it hears this.
  perform announce_settings();
end
$$;

-- Returns whether this transaction has published to one of these channels a message to which announce() has not yet
-- given its global id. If the row of a channel was written by an older transaction, its messages are not looked at.
create or replace function has_unannounced(items publication[]) returns boolean
language plpgsql stable set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
begin
  return exists (
    select from (select distinct i.site, i.channel from unnest(items) i) i
    join channels c on c.site_id = i.site and c.channel = i.channel
    join messages m on m.channel_id = c.id and m.slot = (c.last_id % c.ring_size)::int and m.message_id = c.last_id
    where age(c.xmin) <= age(pg_current_xact_id()::xid) and m.global_id is null
  );
end
$$;

-- publish_list() for a transaction that may have published before: that gets its global ids before. They are given out
-- with the channels of the list locked, because those come before the turn to give out global ids. And before the list
-- has its message ids: "set constraints" may also fire deferred triggers of the application, which may publish to the
-- same channels.
create or replace function publish_in_order(items publication[]) returns bigint[]
language plpgsql
as $$
begin
  perform lock_channels(items);
  set constraints announce immediate;
  -- If a savepoint is released, and then one around it undone, Postgres keeps what was set: it has to be what it is by
  -- default.
  set constraints announce deferred;
  -- Postgres does not fire the events of the round that it is in.
  if has_unannounced(items) then
    return publish_each(items);
  end if;
  return publish_list(items);
end
$$;

-- Publishes a list message by message: their global ids follow later, in the order of all that this transaction has
-- published.
create or replace function publish_each(items publication[]) returns bigint[]
language plpgsql
as $$
declare
  m publication;
  ids bigint[] := '{}';
begin
  if cardinality(items) > 1 then
    perform lock_channels(items);
  end if;
  foreach m in array items loop
    ids := ids || publish_checked(m);
  end loop;
  return ids;
end
$$;

-- Locks the channels of a list, in sorted order as everybody does.
create or replace function lock_channels(items publication[]) returns void
language plpgsql
as $$
begin
  perform lock_channel(c.site, c.channel) from (
    select distinct i.site, i.channel from unnest(items) i order by i.site, i.channel
  ) c;
end
$$;

-- Locks a channel, which it creates if need be. Waits for other transactions that have published to it.
create or replace function lock_channel(site text, channel text) returns void
language plpgsql set enable_seqscan = off set jit = off
as $$
#variable_conflict use_column
begin
  perform from channels t where t.site_id = lock_channel.site collate "C"
    and t.channel = lock_channel.channel collate "C" for no key update;
  if not found then
    perform create_channel(lock_channel.site, lock_channel.channel);
  end if;
end
$$;

-- Creates a channel without messages and locks it, or locks the one that another transaction has created meanwhile.
create or replace function create_channel(site text, channel text) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  id bigint;
  last_id bigint;
begin
  insert into channels as t (site_id, channel, ring_size) select create_channel.site, create_channel.channel,
    s.max_backlog_size from settings s
    on conflict (site_id, channel) do update set last_id = t.last_id returning t.id, t.last_id into id, last_id;
  -- Here, because publish() takes a channel that is there for one that has had its ids.
  if last_id = 0 then
    perform skip_forgotten(id, 0);
  end if;
end
$$;

-- Locks the channels of what this transaction has in the outbox. Called by announce() before it takes the turn to give
-- out global ids, which has to come after all channels.
create or replace function lock_outbox_channels() returns void
language plpgsql set enable_seqscan = off set jit = off
as $$
declare
  state text;
begin
  if current_setting('postbus.turn', true) = 'taken' then
    -- Too late. See lock_or_relay().
    return;
  end if;
  state := set_config('postbus.outbox', 'locked', true);
  perform lock_channel(c.site, c.channel) from (
    select distinct i.site, i.channel
    from outbox o cross join lateral (select o.site, o.channel where o.items is null union all select u.site, u.channel
      from unnest(o.items) u) i
    where o.xid = pg_current_xact_id() order by i.site, i.channel
  ) c;
end
$$;

-- Whether this transaction has the turn to give out global ids.
create or replace function has_turn() returns boolean language sql stable
return exists (
  select from pg_locks l
  where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.relation = 'turn'::regclass
    and l.mode = 'ShareUpdateExclusiveLock' and l.granted
);

-- For a transaction that has the turn to give out global ids and then finds more in the outbox: put there by deferred
-- triggers of the application, or after publish_many(). Whoever has published to a channel and is about to commit waits
-- for the turn, so to wait for that channel now would be a deadlock. Locks the channels that nobody holds. Messages for
-- the others are left to the nodes, which publish them as soon as they can, see relay(). Returns those to publish here.
create or replace function lock_or_relay(items publication[]) returns publication[]
language plpgsql set enable_seqscan = off set jit = off
as $$
declare
  -- Site and channel, with a line break between them: neither has control characters.
  names text[] := array(select distinct i.site || E'\n' || i.channel as name from unnest(items) i order by name);
  -- What was left to the nodes before is not to be overtaken.
  held text[] := array(select distinct coalesce((o.options).site, '') || E'\n' || o.channel from relay_outbox o
    where o.xid = pg_current_xact_id());
  locked text[];
  name text;
begin
  locked := array(
    select n from unnest(names) n cross join lateral (
      select from channels c where c.site_id = split_part(n, E'\n', 1)
        and c.channel = split_part(n, E'\n', 2) for no key update skip locked
    ) c
  );
  if cardinality(locked) < cardinality(names) then
    foreach name in array array(select n from unnest(names) n where n <> all (locked)) loop
      if not try_lock_channel(split_part(name, E'\n', 1), split_part(name, E'\n', 2)) then
        held := held || name;
      end if;
    end loop;
  end if;
  if not names && held then
    return items;
  end if;
  perform leave_to_nodes(array(select i::publication from unnest(items) i
    where i.site || E'\n' || i.channel = any (held)));
  -- A node that has never relayed does not ask again before it hears this.
  perform announce_settings();
  return array(select i::publication from unnest(items) i where i.site || E'\n' || i.channel <> all (held));
end
$$;

-- Puts a list into the outbox of the nodes.
create or replace function leave_to_nodes(items publication[]) returns void
language plpgsql
as $$
begin
  insert into relay_outbox (channel, data, options)
    select i.channel, i.data, (site_of(i.site, i.channel), i.channel, null, i.user_ids, i.group_ids, i.client_ids,
      i.max_backlog_size, i.max_backlog_age)::publication
    from unnest(items) with ordinality i(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size,
      max_backlog_age, n)
    order by i.n;
end
$$;

-- publish_later() for a list that is checked already: what a statement has changed.
create or replace function put_down(items publication[]) returns void
language plpgsql
as $$
declare
  state text;
begin
  if cardinality(items) = 0 then
    return;
  end if;
  if (select s.relay from settings s) then
    perform leave_to_nodes(items);
    return;
  end if;
  insert into outbox (xid, site, channel, data, user_ids, group_ids, client_ids, max_backlog_size, max_backlog_age)
    select pg_current_xact_id(), site_of(i.site, i.channel), i.channel, coalesce(i.data, 'null'), i.user_ids,
      i.group_ids, i.client_ids, i.max_backlog_size, i.max_backlog_age
    from unnest(items) with ordinality i(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size,
      max_backlog_age, n) order by i.n;
  if coalesce(current_setting('postbus.outbox', true), '') not in ('waiting', 'mixed') then
    state := set_config('postbus.outbox', 'waiting', true);
  end if;
end
$$;

do $$
begin
  if not exists (select from pg_trigger where tgrelid = 'outbox'::regclass and tgname = 'publish_outbox') then
    create constraint trigger publish_outbox after insert on outbox
      deferrable initially deferred for each row execute function publish_outbox();
    -- As for announce: what is queued while session_replication_role is replica would stay here for ever.
    alter table outbox enable always trigger publish_outbox;
  end if;
end
$$;
