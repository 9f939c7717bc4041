-- Runs at commit for each message that publish() wrote: gives it its global id and wakes the nodes.
-- Only here, with all other locks held, is the global counter locked: a transaction that publishes and then
-- stays open holds up the channels it has published to, never the whole bus.
-- Speaks of errors alone: on the caller's demand Postgres would tell of plans and notifications, and so the secrets.
create or replace function announce() returns trigger
language plpgsql security definer set search_path from current set client_min_messages = error
as $$
declare
  next_global_id bigint;
  slots int;
  notify_channel text;
  notify_key bytea;
  every int;
  place record;
  line text;
begin
  if current_setting('postbus.outbox', true) in ('waiting', 'mixed', 'postponed') then
    perform lock_outbox_channels();
  end if;
  lock table turn in share update exclusive mode;
  update bus b set last_global_id = b.last_global_id + 1 from settings s
    returning b.last_global_id, b.ring_size, s.notify_channel, s.notify_key, s.clear_every
    into next_global_id, slots, notify_channel, notify_key, every;
  select c.site_id, c.channel, c.ring_size, s.version, first_readable(c, s) as first_id,
      coalesce(new.expires_at, new.published_at + make_interval(secs => s.max_backlog_age)) as expires_at
    into place from channels c cross join settings s where c.id = new.channel_id;

  update messages m set global_id = next_global_id
    where m.channel_id = new.channel_id and m.slot = new.message_id % place.ring_size and m.message_id = new.message_id;

  -- The next in its row, or the first in a row that has left the window.
  update global_ring r set
      global_id = case when r.global_id / 16 = next_global_id / 16 then r.global_id else next_global_id end,
      channel_ids = case when r.global_id / 16 = next_global_id / 16 then r.channel_ids || new.channel_id else array[new.channel_id] end,
      message_ids = case when r.global_id / 16 = next_global_id / 16 then r.message_ids || new.message_id else array[new.message_id] end
    where r.slot = next_global_id / 16 % slots;
  if not found then
    insert into global_ring values (next_global_id / 16 % slots, next_global_id, array[new.channel_id], array[new.message_id]);
  end if;

  -- pg_column_size may be the compressed size: it spares turning the largest ones into text, no more.
  line := message_line(next_global_id, new.message_id, place.site_id, place.channel, place.version, place.first_id, place.expires_at,
    new.user_ids, new.group_ids, new.client_ids,
    case when pg_column_size(new.data) < 8000 then new.data::text else '' end);
  if octet_length(line) > 7900 then
    line := message_line(next_global_id, new.message_id, place.site_id, place.channel, place.version, place.first_id, place.expires_at,
      null, null, null, '');
  end if;
  perform pg_notify(notify_channel, sign_payload(line, notify_key));
  if next_global_id % every = 0 then
    perform sweep(least(2 * every::bigint, 10000)::int);
  end if;
  return null;
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
