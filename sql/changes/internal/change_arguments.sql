-- The checks of what publish_changes() is told.
create or replace function check_changes(
  "table" regclass, channel text, operations text[], columns text[], except_columns text[], when_changed text[],
  user_ids text, group_ids text, site_id text, via text, on_error text, unrestricted boolean, name text
) returns void
language plpgsql stable
as $$
#variable_conflict use_variable
declare
  fault text;
  secured boolean;
begin
  fault := coalesce(table_fault("table"), case
    when channel is null or channel = '' or channel collate "C" ~ '^/?__' then
      'channel: must not be empty, nor begin with __ or /__'
    when regexp_replace(channel collate "C", '\{[^{}]+\}', '', 'g') ~ '[{}]' then
      'channel: { and } must enclose the name of a column'
    when not is_channel(regexp_replace(channel collate "C", '\{[^{}]+\}', 'x', 'g')) then
      'channel: must have 1 to 255 characters, and no control characters'
    when operations is null or operations = '{}'
      or not operations collate "C" <@ '{insert,update,delete}' then
      'operations: must be some of insert, update and delete'
    when columns = '{}' then 'columns: must name at least one column'
    when columns is not null and except_columns is not null then 'except_columns: makes no sense together with columns'
    when when_changed = '{}' then 'when_changed: must name at least one column'
    when via is null or via collate "C" not in ('publish', 'publish_later') then 'via: must be publish_later or publish'
    when on_error is null or on_error collate "C" not in ('fail', 'warn') then 'on_error: must be fail or warn'
    when name is null or name collate "C" !~ '^[a-z0-9_]{1,20}$' then
      'name: must be 1 to 20 small letters, digits and underscores'
    when is_global(channel) and user_ids is not null then 'user_ids: a channel under /global/ has no users or groups'
    when is_global(channel) and group_ids is not null then 'group_ids: a channel under /global/ has no users or groups'
  end);
  fault := coalesce(fault, column_fault("table", channel, columns, except_columns, when_changed, user_ids, group_ids,
    site_id));
  if fault is not null then
    raise exception using errcode = 'PB006', message = fault;
  end if;
  select bool_or(c.relrowsecurity) into secured
    from pg_class c where c.oid = "table" or c.oid in (select t.relid from pg_partition_tree("table") t);
  if secured and user_ids is null and group_ids is null and unrestricted is not true then
    raise exception using errcode = 'PB006',
      message = format('table: %s has row-level security, and its changes would reach everybody', table_name("table")),
      hint = 'Name the columns that tell whom a row is for (user_ids, group_ids), or say unrestricted => true.';
  end if;
end
$$;

create or replace function table_name("table" regclass) returns text language sql stable parallel safe
return (select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.oid = "table");

create or replace function table_fault("table" regclass) returns text
language plpgsql stable
as $$
declare
  c pg_class;
  -- Triggers get no rows of it: Postgres refuses to make one there, and each statement that would need its rows.
  "foreign" regclass := (select p.relid from pg_partition_tree("table") p join pg_class f on f.oid = p.relid
    where f.relkind = 'f' and p.relid <> "table" limit 1);
begin
  select t.* into c from pg_class t where t.oid = "table";
  return case
    when "table" is null or c.oid is null then 'table: there is no such table'
    when c.relkind not in ('r', 'p') or c.relpersistence = 't' then
      format('table: %s must be a table, not a view, a foreign or a temporary one', table_name("table"))
    when c.relnamespace in ('pg_catalog'::regnamespace, quote_ident(current_schema())::regnamespace) then
      format('table: %s belongs to the bus or to Postgres', table_name("table"))
    when c.relispartition then format('table: %s is a partition: name the whole table', table_name("table"))
    when "foreign" is not null then
      format('table: %s is a foreign table and a partition of %s: triggers do not see the changes of it',
        table_name("foreign"), table_name("table"))
    when not has_schema_privilege(c.relowner, current_schema(), 'usage')
      or not has_function_privilege(c.relowner, 'publish_rows(publication[], text, text, text)', 'execute')
      then format('table: %s belongs to %I, who may not publish changes', table_name("table"),
        pg_get_userbyid(c.relowner))
  end;
end
$$;

-- Returns the fault of the first named column that has one. A column of targets must hold ids or arrays of ids, because
-- a value of another type would never equal the id of a user. Triggers do not see virtual columns.
create or replace function column_fault(
  "table" regclass, channel text, columns text[], except_columns text[], when_changed text[], user_ids text,
  group_ids text, site_id text
) returns text
language plpgsql stable parallel safe
as $$
#variable_conflict use_variable
declare
  named record;
  fault text;
begin
  for named in
    select w.argument, w.column_name, a.attnum, a.attgenerated = 'v' as is_virtual, t.typcategory, t.typname,
      bt.typname as base_name
    from (
      select 1 as n, 'channel' as argument, m[1] as column_name
        from regexp_matches(channel collate "C", '\{([^{}]+)\}', 'g') m
      union all select 2, 'columns', unnest(columns) union all select 3, 'except_columns', unnest(except_columns)
      union all select 4, 'when_changed', unnest(when_changed)
      union all select 5, 'user_ids', user_ids union all select 6, 'group_ids', group_ids
        union all select 7, 'site_id', site_id
    ) w
    left join pg_attribute a on a.attrelid = "table" and a.attname = w.column_name collate "C" and a.attnum > 0
      and not a.attisdropped
    left join pg_type t on t.oid = a.atttypid
    left join pg_type bt on bt.oid = t.typbasetype
    where w.column_name is not null or w.n < 5
    order by w.n
  loop
    fault := case
      when named.column_name is null then 'a name is null'
      when named.attnum is null then format('the table has no column %s', quote_literal(named.column_name))
      when named.is_virtual then format('%s is a virtual column, which triggers do not see',
        quote_literal(named.column_name))
      when named.argument in ('user_ids', 'group_ids', 'site_id')
        and (named.typcategory = 'C' or coalesce(named.base_name, named.typname) in ('json', 'jsonb'))
        or named.argument = 'site_id' and named.typcategory = 'A'
        then format('column %s holds no ids', quote_literal(named.column_name))
    end;
    if fault is not null then
      return format('%s: %s', named.argument, fault);
    end if;
  end loop;
  return null;
end
$$;
