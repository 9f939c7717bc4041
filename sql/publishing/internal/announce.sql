-- Runs at commit for each message that publish() wrote: gives it its global id and wakes the nodes.
-- Only here, with all other locks held, is the turn to give out global ids waited for: a transaction that publishes and
-- then stays open holds up the channels it has published to, never the whole bus. In the midst of a statement, as to
-- make it ready takes longer than to run it: those that wait have done that. Speaks of errors alone: on the caller's
-- demand Postgres would tell of plans and notifications, and so the secrets.
create or replace function announce() returns trigger
language plpgsql security definer set search_path from current set client_min_messages = error
  set plan_cache_mode = force_generic_plan
as $$
declare
  every int;
  notify_channel text;
  notify_key bytea;
  place int;
  head text;
  expires bigint;
  room int;
  as_text text;
  next_global_id bigint;
  notified text;
begin
  -- One condition for what is rare: each takes time to make ready.
  if pg_trigger_depth() > 1 or current_setting('postbus.outbox', true) in ('waiting', 'mixed') then
    -- See publish_outbox().
    if current_setting('postbus.outbox', true) in ('waiting', 'mixed') then
      perform lock_outbox_channels();
    end if;
    if pg_trigger_depth() > 1 and postpone_announcement(new) then
      return null;
    end if;
  end if;
  select s.clear_every, s.notify_channel, s.notify_key, (new.message_id % c.ring_size)::int, channel_head(c, s),
      microseconds(coalesce(new.expires_at, new.published_at + make_interval(secs => s.max_backlog_age))),
      -- Larger data have been measured by publish(), or have no room in a notification. Made here, because to make 90
      -- MB of text of 8 kB takes seconds, for which nobody should have the turn.
      least(7900, s.max_data_size), case when pg_column_size(new.data) < 8000 then new.data::text else '' end
    into every, notify_channel, notify_key, place, head, expires, room, as_text from channels c cross join settings s
      where c.id = new.channel_id;

  with turn as materialized (
    select t.last_id as global_id, t.slots from take_global_ids(1) t
  ), numbered as (
    update messages m set global_id = (select t.global_id from turn t)
      where m.channel_id = new.channel_id and m.slot = place and m.message_id = new.message_id
  ), windowed as (
    -- The next in its row, or the first in a row that has left the window.
    insert into global_ring as r
      select block_of(t.global_id) % t.slots, t.global_id, array[new.channel_id], array[new.message_id] from turn t
      on conflict (slot) do update set
        global_id = excluded.global_id,
        channel_ids = case when block_of(r.global_id) = block_of(excluded.global_id)
          then r.channel_ids || excluded.channel_ids
          else excluded.channel_ids end,
        message_ids = case when block_of(r.global_id) = block_of(excluded.global_id)
          then r.message_ids || excluded.message_ids
          else excluded.message_ids end
  )
  select t.global_id, pg_notify(notify_channel, sign_payload(
      case when octet_length(l.line) <= room then l.line else checked_line(l.line, as_text) end, notify_key))::text
    into next_global_id, notified from turn t cross join lateral (
      select message_line(t.global_id, new.message_id, head, expires, new.user_ids, new.group_ids, new.client_ids,
        as_text) as line offset 0
    ) l;
  if next_global_id % every = 0 then
    perform sweep(least(2 * every::bigint, stretch())::int);
  end if;
  return null;
end
$$;

-- A line that may be too long for a notification, or have larger data than there may be.
create or replace function checked_line(line text, data text) returns text
language plpgsql stable parallel safe
as $$
begin
  perform check_bytes(octet_length(data), s.max_data_size, 'data') from settings s;
  return case when octet_length(line) <= 7900 then line else without_data(line) end;
end
$$;

-- Within a channel, global ids have to rise with message ids. So no message gets its global id while the one before it,
-- of the same transaction, waits for its own: its announcement is postponed to the commit. Postgres gives rise to that
-- when constraints are immediate and a trigger publishes: it has marked the events of the round that it is in as its
-- own, and fires those that come up meanwhile at once.
create or replace function postpone_announcement(m messages) returns boolean
language plpgsql set enable_seqscan = off set jit = off
as $$
declare
  ring int;
begin
  select c.ring_size into ring from channels c where c.id = m.channel_id;
  perform from messages b
    where b.channel_id = m.channel_id and b.slot = ((m.message_id - 1) % ring)::int and b.message_id = m.message_id - 1
      and b.global_id is null;
  if not found then
    return false;
  end if;
  set constraints announce deferred;
  -- Queues another event.
  update messages t set message_id = m.message_id
    where t.channel_id = m.channel_id and t.slot = (m.message_id % ring)::int and t.message_id = m.message_id;
  return found;
end
$$;

do $$
begin
  if not exists (select from pg_trigger where tgrelid = 'messages'::regclass and tgname = 'announce') then
    create constraint trigger announce after insert or update of message_id on messages
      deferrable initially deferred for each row when (new.global_id is null) execute function announce();
    -- Also where session_replication_role is replica: a message without a global id would never be seen.
    alter table messages enable always trigger announce;
  end if;
end
$$;
