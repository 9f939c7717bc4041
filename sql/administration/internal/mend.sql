-- Mends what schema_damage() tells of, and returns what it has done. Called by migrate alone, as the owner.
-- are_stranded: triggers were missing or did not fire for all, so there may be messages that were never announced.
create or replace function mend_schema(are_stranded boolean) returns text[]
language plpgsql
as $$
declare
  ours oid := (select n.oid from pg_namespace n where n.nspname = current_schema());
  result text[] := '{}';
  k record;
  relation regclass;
  disabled name;
  inserted int;
begin
  if schema_damage() = '{}' and not are_stranded and not exists (
    select from global_ring r cross join bus b where r.slot <> (block_of(r.global_id) % b.ring_size)::int
  ) then
    return result;
  end if;
  for k in select * from schema_keys() s where s.is_valid is not true loop
    begin
      if k.is_valid is null then
        execute format('alter table %I add %s (%s)', k.table_name, case when k.is_primary then 'primary key'
          else 'unique' end, k.columns);
      else
        execute format('reindex index %s', k.index_name);
      end if;
    exception when unique_violation or not_null_violation then
      raise exception using errcode = 'PB009',
        message = format('rows of the table %I have the same %s, so that its key cannot be made: delete the wrong ones',
          k.table_name, k.columns);
    end;
    result := result || format('the key of %s (%s)', k.table_name, k.columns);
  end loop;

  for relation, disabled in
    select g.tgrelid, g.tgname from pg_trigger g join pg_class c on c.oid = g.tgrelid
    where c.relnamespace = ours and not g.tgisinternal and g.tgenabled <> 'A'
  loop
    execute format('alter table %s enable always trigger %I', relation, disabled);
  end loop;

  for relation in
    select a.attrelid from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relnamespace = ours and c.relkind = 'r' and a.attname = 'singleton' and not a.attisdropped
      order by c.relname
  loop
    execute format('insert into %s default values on conflict do nothing', relation);
    get diagnostics inserted = row_count;
    if inserted > 0 then
      result := result || format('the row of %s', relation);
    end if;
  end loop;

  perform mend_ids();
  if are_stranded then
    result := result || publish_stranded();
  end if;
  return result;
end
$$;

-- No id is given out twice: counters and sequences go on after the largest id that there is, and the window over all
-- channels is built anew from the messages. Messages whose channel nobody knows any more are deleted: another channel
-- may get its number.
create or replace function mend_ids() returns void
language plpgsql
as $$
declare
  last bigint;
  slots int;
  places text := pg_get_serial_sequence('channels', 'id');
begin
  perform from settings for update;
  -- Nobody publishes until this commits.
  lock table messages in share row exclusive mode;
  lock table turn in share update exclusive mode;
  last := greatest(last_global_id(), (select max(m.global_id) from messages m), 0);
  if not exists (select from global_ring) then
    -- Whoever emptied the window may have emptied all else that tells. The first value of the sequence says nothing.
    last := greatest(last, (select n.last_value from newest_global_id n where n.last_value > 1));
  end if;
  if last > 0 then
    perform setval(places, greatest(pg_sequence_last_value(places::regclass), (select max(c.id) from channels c),
      (select max(m.channel_id) from messages m), 1));
    delete from messages m where not exists (select from channels c where c.id = m.channel_id);
    if found then
      -- Channels that are made again begin after all ids that they can have had: none was above the number of all
      -- messages.
      update forgotten set last_id = last where last_id < last;
    end if;
  end if;
  update channels c set last_id = m.last_id from (
    select w.channel_id, max(w.message_id) as last_id from messages w group by w.channel_id
  ) m where m.channel_id = c.id and m.last_id > c.last_id;
  update bus b set ring_size = window_slots(s.max_global_backlog_size) from settings s;
  select b.ring_size into slots from bus b;
  delete from global_ring;
  insert into global_ring
    select block_of(m.global_id) % slots, max(m.global_id), array_agg(m.channel_id order by m.global_id),
      array_agg(m.message_id order by m.global_id)
    from messages m where block_of(m.global_id) > block_of(last) - slots group by block_of(m.global_id);
  if last > 0 then
    -- The last one may be of a message that is gone.
    insert into global_ring values (block_of(last) % slots, last, '{}', '{}')
      on conflict (slot) do update set global_id = excluded.global_id;
    perform setval('newest_global_id', last);
  end if;
  -- The same for those that were forgotten.
  insert into forgotten select b, last from generate_series(0, 1023) b on conflict do nothing;
end
$$;

-- Publishes the messages and the rows of the outbox that were committed while their triggers did not fire. The triggers
-- have been enabled in this transaction, whose lock has waited for everybody who wrote before: what can be seen is what
-- was left. A row that cannot be published stays, and is told of.
create or replace function publish_stranded() returns text[]
language plpgsql
as $$
declare
  result text[] := '{}';
  place record;
  waiting outbox[];
  n bigint := 0;
begin
  begin
    for place in select m.channel_id, m.slot from messages m where m.global_id is null
      order by m.channel_id, m.message_id loop
      -- Queues its event.
      update messages m set message_id = m.message_id where m.channel_id = place.channel_id and m.slot = place.slot;
      n := n + 1;
    end loop;
    set constraints announce immediate;
    set constraints announce deferred;
    waiting := array(select o from outbox o order by o.xid, o.id);
    delete from outbox;
    insert into outbox overriding system value select u.* from unnest(waiting) u;
    set constraints all immediate;
    set constraints all deferred;
    n := n + cardinality(waiting);
    if n > 0 then
      result := result || format('%s messages that were not announced', n);
    end if;
  exception when others then
    result := result || format('but not the messages that were not announced: %s', sqlerrm);
  end;
  return result;
end
$$;
