-- Returns what a dump does not carry: the server, its timeline, the database, the table, and the transaction that wrote
-- the row of incarnation. Neither vacuum full nor a freeze changes them. A restore changes at least one of them; so do
-- a standby that takes over and pg_upgrade, after which the past is still the same. Another home is therefore a reason
-- to look, and no proof of another past.
create or replace function incarnation_home() returns text
language plpgsql stable parallel safe
as $$
declare
  server text;
  timeline text;
begin
  -- Some hosts of Postgres take the right away.
  if has_function_privilege('pg_control_system()', 'execute') then
    select c.system_identifier into server from pg_control_system() c;
  end if;
  if not pg_is_in_recovery() and has_function_privilege('pg_walfile_name(pg_lsn)', 'execute') then
    timeline := left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);
  end if;
  return (
    select concat_ws('/', server, timeline, d.oid, i.tableoid, i.xmin)
    from incarnation i cross join pg_database d where d.datname = current_database()
  );
end
$$;

-- Returns whether the message with this global id is still the one that a node has seen. Null if that is unknown,
-- because the message has left its channel's backlog, or because its expiry was computed by settings of another
-- version.
create or replace function is_known(
  global_id bigint, site text, channel text, message_id bigint, version bigint, expires bigint
) returns boolean
language plpgsql stable set enable_seqscan = off set jit = off
as $$
#variable_conflict use_column
declare
  s settings;
  c channels;
  m messages;
begin
  if last_global_id() < is_known.global_id then
    return false;
  end if;
  select * into s from settings;
  select * into c from channels t where t.site_id = is_known.site collate "C"
    and t.channel = is_known.channel collate "C";
  if not found then
    return null;
  end if;
  if c.last_id < is_known.message_id then
    return false;
  end if;
  select * into m from messages t
    where t.channel_id = c.id and t.slot = (is_known.message_id % c.ring_size)::int
      and t.message_id = is_known.message_id;
  if not found then
    return null;
  end if;
  if m.global_id is distinct from is_known.global_id then
    return false;
  end if;
  if microseconds(coalesce(m.expires_at, m.published_at + make_interval(secs => s.max_backlog_age)))
    = is_known.expires then
    return true;
  end if;
  return case when s.version = is_known.version then false end;
end
$$;

-- Tells the nodes at once: with each change of the settings, they look which past this is.
create or replace function renew_incarnation() returns void
language plpgsql set client_min_messages = error
as $$
begin
  update incarnation set id = gen_random_uuid();
  update settings set version = version + 1;
  perform announce_settings();
end
$$;

-- An empty window says nothing of the last global id: this row does.
create or replace function mark_last_global_id() returns void
language sql
begin atomic
  insert into global_ring
    select block_of(n.last_value) % b.ring_size, n.last_value, '{}', '{}'
    from newest_global_id n cross join bus b where not exists (select from global_ring);
end;

-- The sequence, a hint at other times, is not behind the window when that is emptied. It may be ahead, by ids that were
-- rolled back: those are skipped then.
create or replace function note_last_global_id() returns void
language plpgsql
as $$
begin
  perform setval('newest_global_id', greatest(last_global_id(), n.last_value)) from newest_global_id n;
end
$$;

create or replace function before_truncate() returns trigger
language plpgsql security definer set search_path from current
as $$
begin
  if tg_relid = 'channels'::regclass then
    -- As forget_channels() does, so that ids are not reused.
    update forgotten f set last_id = c.last_id
      from (select bucket_of(t.site_id, t.channel) as bucket, max(t.last_id) as last_id from channels t group by 1) c
      where f.bucket = c.bucket and f.last_id < c.last_id;
  else
    perform note_last_global_id();
  end if;
  return null;
end
$$;

create or replace function after_truncate() returns trigger
language plpgsql security definer set search_path from current
as $$
begin
  if tg_relid = 'global_ring'::regclass then
    perform mark_last_global_id();
  elsif tg_relid = 'channels'::regclass then
    -- Channels that are made anew may get the same ids.
    delete from messages;
    perform note_last_global_id();
    delete from global_ring;
    perform mark_last_global_id();
  end if;
  perform renew_incarnation();
  return null;
end
$$;

-- Channels deleted by hand: those that forget_channels() deletes, it has noted in `forgotten` before.
create or replace function after_delete_channels() returns trigger
language plpgsql security definer set search_path from current set enable_seqscan = off set jit = off
as $$
begin
  update forgotten f set last_id = c.last_id
    from (select bucket_of(d.site_id, d.channel) as bucket, max(d.last_id) as last_id from deleted d group by 1) c
    where f.bucket = c.bucket and f.last_id < c.last_id;
  if found then
    delete from messages m using deleted d where m.channel_id = d.id;
    perform renew_incarnation();
  end if;
  return null;
end
$$;

-- The other tables say nothing of the past. Of those with one row, node_state() does without none: a node says that the
-- schema is not complete until migrate has put the row back.
do $$
declare
  t record;
begin
  for t in select * from (values
    ('before_truncate', 'global_ring', 'before truncate on global_ring'),
    ('before_truncate', 'channels', 'before truncate on channels'),
    ('after_truncate', 'global_ring', 'after truncate on global_ring'),
    ('after_truncate', 'channels', 'after truncate on channels'),
    ('after_truncate', 'messages', 'after truncate on messages'),
    ('after_delete_channels', 'channels', 'after delete on channels referencing old table as deleted')
  ) t(name, table_name, event) loop
    if not exists (select from pg_trigger g where g.tgrelid = t.table_name::regclass and g.tgname = t.name) then
      execute format('create trigger %1$I %2$s execute function %1$I()', t.name, t.event);
    end if;
    -- Also where session_replication_role is replica, as a restore sets it.
    if exists (select from pg_trigger g where g.tgrelid = t.table_name::regclass and g.tgname = t.name
      and g.tgenabled <> 'A') then
      execute format('alter table %I enable always trigger %I', t.table_name, t.name);
    end if;
  end loop;
end
$$;
