-- Runs at commit for each row that publish_later() put down. The first one publishes all that the transaction has put
-- down, as one list; the others find their rows gone. By id as well, as they come in order: where constraints are immediate,
-- the rows that were published before are still to be stepped over in the index.
--
-- A setting of the transaction, undone by savepoints as the rows are, says how things stand in "postbus.outbox":
--   waiting     rows have been put down
--   mixed       and then publish() was called, too
--   postponed   in such a transaction, by an event of its own, until announce() has run for each of the latter: message ids
--               were given to them before, so shall be global ids
--   …, locked   the channels of the rows are locked, as announce() was due
-- Speaks of errors alone, as announce() does.
create or replace function publish_outbox() returns trigger
language plpgsql security definer set search_path from current set client_min_messages = error set enable_seqscan = off set jit = off
as $$
declare
  state text := current_setting('postbus.outbox', true);
  items publication[];
  m publication;
begin
  perform from outbox o where o.xid = new.xid and o.id = new.id;
  if not found or starts_with(state, 'postponed') and not new.postponed then
    return null;
  end if;
  if starts_with(state, 'mixed') then
    perform set_config('postbus.outbox', replace(state, 'mixed', 'postponed'), true);
    update outbox o set postponed = true where o.xid = new.xid and o.id = new.id;
    return null;
  end if;
  with taken as (
    delete from outbox o where o.xid = new.xid and o.id >= new.id returning o.*
  )
  select array_agg((t.site, t.channel, t.data, t.user_ids, t.group_ids, t.client_ids, t.max_backlog_size, t.max_backlog_age)::publication order by t.id)
    into items from taken t;
  perform set_config('postbus.outbox', '', true);
  if cardinality(items) > 1 then
    perform publish_list(items);
  else
    -- In half the time.
    m := items[1];
    perform publish(m.channel, m.data, m.user_ids, m.group_ids, m.client_ids, nullif(m.site, ''), m.max_backlog_size, m.max_backlog_age);
  end if;
  return null;
end
$$;

-- Locks the channels of what this transaction has put down. publish() and publish_later() in one transaction: where the
-- global counter is due for the former, the latter's channels have to come before it.
create or replace function lock_outbox_channels() returns void
language plpgsql set enable_seqscan = off set jit = off
as $$
declare
  c record;
begin
  perform set_config('postbus.outbox', current_setting('postbus.outbox') || ', locked', true);
  for c in select distinct o.site, o.channel from outbox o where o.xid = pg_current_xact_id() order by o.site, o.channel loop
    perform from channels t where t.site_id = c.site and t.channel = c.channel for no key update;
    if not found then
      insert into channels as t (site_id, channel, ring_size) select c.site, c.channel, s.max_backlog_size from settings s
        on conflict (site_id, channel) do update set last_id = t.last_id;
    end if;
  end loop;
end
$$;

do $$
begin
  if not exists (select from pg_trigger where tgrelid = 'outbox'::regclass and tgname = 'publish_outbox') then
    create constraint trigger publish_outbox after insert or update of postponed on outbox
      deferrable initially deferred for each row execute function publish_outbox();
    -- As for announce: what is put down where session_replication_role is replica would stay here for ever.
    alter table outbox enable always trigger publish_outbox;
  end if;
end
$$;

-- publish_later() for a list that is checked already: what a statement has changed.
create or replace function put_down(items publication[]) returns void
language plpgsql
as $$
begin
  insert into relay_outbox (channel, data, options)
    select i.channel, i.data, (site_of(i.site, i.channel), i.channel, null, i.user_ids, i.group_ids, i.client_ids, i.max_backlog_size, i.max_backlog_age)::publication
    from settings s cross join unnest(items) with ordinality i(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size, max_backlog_age, n)
    where s.relay order by i.n;
  if found or cardinality(items) = 0 then
    return;
  end if;
  insert into outbox (xid, site, channel, data, user_ids, group_ids, client_ids, max_backlog_size, max_backlog_age)
    select pg_current_xact_id(), site_of(i.site, i.channel), i.channel, i.data, i.user_ids, i.group_ids, i.client_ids, i.max_backlog_size, i.max_backlog_age
    from unnest(items) with ordinality i(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size, max_backlog_age, n) order by i.n;
  if coalesce(current_setting('postbus.outbox', true), '') = '' then
    perform set_config('postbus.outbox', 'waiting', true);
  end if;
end
$$;
