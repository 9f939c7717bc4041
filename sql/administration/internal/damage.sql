-- Returns a sentence for each fault of the tables that would lose or refuse messages, as a restore in parts leaves
-- them; an empty array if all is well. migrate mends such faults, see mend_schema(). The function is cheap, because
-- nodes call it now and then. It uses "execute", because a query that names a missing table fails already when it is
-- planned.
create or replace function schema_damage() returns text[]
language plpgsql stable security definer set search_path from current
as $$
declare
  ours oid := (select n.oid from pg_namespace n where n.nspname = current_schema());
  result text[] := '{}';
  relation regclass;
  is_bad boolean;
begin
  -- Also where session_replication_role is replica: without its triggers, a message that was acknowledged is never
  -- seen.
  result := result || array(
    select format('the trigger %s of %s is %s', e.name, e.table_name, case when g.oid is null then 'missing'
      else 'not enabled always' end)
    from (values
      (1, 'announce', 'messages'), (2, 'publish_outbox', 'outbox'),
      (3, 'before_truncate', 'global_ring'), (4, 'before_truncate', 'channels'),
      (5, 'after_truncate', 'global_ring'), (6, 'after_truncate', 'channels'), (7, 'after_truncate', 'messages'),
      (8, 'after_delete_channels', 'channels')
    ) e(n, name, table_name)
    left join pg_class c on c.relnamespace = ours and c.relname = e.table_name
    left join pg_trigger g on g.tgrelid = c.oid and g.tgname = e.name and not g.tgisinternal
    where g.oid is null or g.tgenabled <> 'A' order by e.n);
  result := result || array(
    select format('the key of %s (%s) is %s', k.table_name, k.columns, case when k.is_valid is null then 'missing'
      else 'not valid' end)
    from schema_keys() k where k.is_valid is not true order by k.table_name, k.columns);
  -- Tables that hold one row.
  for relation in
    select a.attrelid from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relnamespace = ours and c.relkind = 'r' and a.attname = 'singleton' and not a.attisdropped
      order by c.relname
  loop
    execute format('select not exists (select from %s)', relation) into is_bad;
    if is_bad then
      result := result || format('the row of %s is missing', relation);
    end if;
  end loop;
  begin
    execute 'select exists (select from bus b cross join settings s where b.ring_size <> window_slots(s.max_global_backlog_size))' into is_bad;
    if is_bad then
      result := result || 'bus and settings disagree on the size of the global backlog'::text;
    end if;
    execute 'select count(*) <> 1024 from forgotten' into is_bad;
    if is_bad then
      result := result || 'rows of forgotten are missing'::text;
    end if;
    execute 'select coalesce((select max(m.channel_id) from messages m) > coalesce((select max(c.id) from channels c), 0), false)' into is_bad;
    if is_bad then
      result := result || 'messages are there without their channels'::text;
    end if;
    execute $q$select coalesce((select max(c.id) from channels c) > coalesce(pg_sequence_last_value(pg_get_serial_sequence('channels', 'id')), 0), false)$q$ into is_bad;
    if is_bad then
      result := result || 'new channels would get the ids of those that are there'::text;
    end if;
  exception when undefined_table then
    result := result || sqlerrm;
  end;
  return result;
end
$$;

-- The primary and unique keys that the tables have to have, and whether each is valid; null: it is missing.
create or replace function schema_keys()
  returns table (table_name text, columns text, is_primary boolean, index_name regclass, is_valid boolean)
language sql stable
as $$
  select e.table_name, e.columns, e.is_primary, i.indexrelid::regclass, i.indisvalid and i.indisready
  from (
    values ('channels', 'id', true), ('channels', 'site_id, channel', false), ('messages', 'channel_id, slot', true),
      ('global_ring', 'slot', true), ('outbox', 'xid, id', true), ('relay_outbox', 'xid, id', true),
      ('refusals', 'id', true), ('forgotten', 'bucket', true)
    union all
    select c.relname, 'singleton', true from pg_class c join pg_namespace n on n.oid = c.relnamespace
      join pg_attribute a on a.attrelid = c.oid
      where n.nspname = current_schema() and c.relkind = 'r' and a.attname = 'singleton' and not a.attisdropped
  ) e(table_name, columns, is_primary)
  left join pg_class t on t.relname = e.table_name
    and t.relnamespace = (select n.oid from pg_namespace n where n.nspname = current_schema())
  left join lateral (
    select x.* from pg_index x
    where x.indrelid = t.oid and x.indisunique and x.indpred is null and x.indisprimary = e.is_primary
      and (select string_agg(a.attname, ', ' order by k.n) from unnest(x.indkey::int2[]) with ordinality k(attnum, n)
        join pg_attribute a on a.attrelid = x.indrelid and a.attnum = k.attnum) = e.columns
    order by x.indisvalid desc limit 1
  ) i on true
$$;
