-- The messages of one kind of statement, as a query over its transition tables: as text, for the trigger function.
-- There n and o are the new and the old row. Their columns are named in full everywhere, so that none can be taken for
-- something else. Never as (row).column of a whole row of a transition table: once a column has been dropped, Postgres
-- takes the wrong ones there.

-- A column as text that no setting of a session changes, as ::text would for dates. Strings need none of that; and of
-- those of type char(n), ::text takes the blanks away that pad them, because they do not count in a comparison.
create or replace function column_text("table" regclass, column_name text, r text) returns text
  language sql stable parallel safe
return (
  select format(case t.typcategory when 'S' then '%s.%I::text' else '(to_jsonb(%s.%I) #>> ''{}'')' end, r, column_name)
  from pg_attribute a join pg_type t on t.oid = a.atttypid where a.attrelid = "table" and a.attname = column_name
);

-- A channel with {columns} as an expression over a row. Null, and so an error, where what a column holds would take the
-- channel to those that all sites see.
create or replace function change_channel("table" regclass, channel text, r text) returns text
language plpgsql stable parallel safe
as $$
declare
  channel constant text collate "C" := change_channel.channel;
  expression text := quote_literal(split_part(channel, '{', 1));
  part text collate "C";
begin
  foreach part in array (string_to_array(channel, '{'))[2:] loop
    expression := expression || format(' || %s || %L', column_text("table", split_part(part, '}', 1), r),
      substr(part, strpos(part, '}') + 1));
  end loop;
  if strpos(channel, '{') > 0 and starts_with('/global/', split_part(channel, '{', 1)) then
    return format('(select case when not starts_with(c, ''/global/'') then c end from (select %s) c(c))', expression);
  end if;
  return expression;
end
$$;

-- Ids as a list, of a column that holds one, or a list: empty where it holds none. As of ids(), 42.00 is 42.
create or replace function change_targets("table" regclass, column_name text, r text) returns text
language sql stable parallel safe
return (
  select case t.typcategory
    -- Of any dimensions.
    when 'A' then format('array(select %s from unnest(%s.%I::text[]) i where i is not null)',
      case e.typcategory when 'N' then 'regexp_replace(i, ''\.0+$'', '''')' else 'i' end, r, column_name)
    else format(case t.typcategory when 'N' then 'array_remove(array[regexp_replace(%s, ''\.0+$'', '''')], null)'
      else 'array_remove(array[%s], null)' end,
      column_text("table", column_name, r)) end
  from pg_attribute a join pg_type t on t.oid = a.atttypid
    left join pg_type b on b.oid = t.typbasetype
      left join pg_type e on e.oid = coalesce(nullif(t.typelem, 0), b.typelem)
      where a.attrelid = "table" and a.attname = column_name
);

-- The name of the column that numbers the rows of the transition tables: one that the table does not have.
create or replace function change_number("table" regclass) returns text language sql stable parallel safe
return (
  select n.name from (select concat_ws(' ', 'row number', nullif(i, 1)) as name, i from generate_series(1, 1601) i) n
  where not exists (select from pg_attribute a where a.attrelid = "table" and a.attname = n.name) order by n.i limit 1
);

-- number: as above, where the row has it.
create or replace function change_row(columns text[], except_columns text[], r text, number text default null)
  returns text
language sql immutable parallel safe
return case
  -- A function of Postgres takes 100 arguments.
  when columns is not null then (
    select string_agg(p.part, ' || ' order by p.n)
    from (
      select (c.n - 1) / 50 as n, format('jsonb_build_object(%s)',
        string_agg(format('%L, %s.%I', c.name, r, c.name), ', ' order by c.n)) as part
      from unnest(columns) with ordinality c(name, n) group by 1
    ) p)
  else format('to_jsonb(%s.*) - %L::text[]', r, array_remove(except_columns || number, null))
end;

-- Returns the columns to select from a transition table: "t.*", or, if the table has virtual columns, all others by
-- name, because a transition table holds no virtual columns and Postgres fails if a query names one.
create or replace function change_columns("table" regclass) returns text
language sql stable parallel safe
return (
  select case when bool_or(a.attgenerated = 'v') then string_agg(format('t.%I', a.attname),
    ', ') filter (where a.attgenerated <> 'v') else 't.*' end
  from pg_attribute a where a.attrelid = "table" and a.attnum > 0 and not a.attisdropped
);

create or replace function change_key("table" regclass, r text) returns text language sql stable parallel safe
return (
  select 'jsonb_build_object(' || string_agg(format('%L, %s.%I', a.attname, r, a.attname), ', ' order by k.n) || ')'
  from pg_index i cross join unnest(i.indkey::int2[]) with ordinality k(attnum, n)
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
  where i.indrelid = "table" and i.indisprimary
);

create or replace function change_query(
  "table" regclass, operation text, channel text, columns text[], except_columns text[], condition text,
  when_changed text[], old_values boolean,
  user_ids text, group_ids text, site_id text, max_backlog_size int, max_backlog_age int
) returns text
language plpgsql stable
as $$
#variable_conflict use_variable
declare
  r text := case operation collate "C" when 'delete' then 'o' else 'n' end;
  taken text := change_columns("table");
  key text := change_key("table", r);
  number text := change_number("table");
  pairs boolean := operation collate "C" = 'update' and (old_values or when_changed is not null);
  users text := change_targets("table", user_ids, r);
  groups text := change_targets("table", group_ids, r);
  audience text;
  data text;
  conditions text[] := '{}';
begin
  data := format('''op'', %L, ''table'', %L, ''key'', %s', operation,
    (select c.relname from pg_class c where c.oid = "table"), coalesce(key, '''null''::jsonb'));
  if operation collate "C" <> 'delete' then
    data := data || ', ''row'', ' || change_row(columns, except_columns, 'n', case when pairs then number end);
  end if;
  if operation collate "C" = 'delete' and (old_values or key is null) then
    data := data || ', ''old'', ' || change_row(columns, except_columns, 'o');
  end if;
  data := format('jsonb_build_object(%s)', data);
  if operation collate "C" = 'update' and old_values then
    -- What the row was is not for those that it has come to.
    select string_agg(format('o.%1$I::text is not distinct from n.%1$I::text', c), ' and ') into audience
      from unnest(array_remove(array[user_ids, group_ids, site_id], null)) c;
    data := format('%s || case when %s then jsonb_build_object(''old'', %s) else ''{}'' end',
      data, coalesce(audience, 'true'), change_row(columns, except_columns, 'o', number));
  end if;

  if condition is not null then
    conditions := conditions || format(E'(select (%s\n) from (select %s.*) t)', condition, r);
  end if;
  if operation collate "C" = 'update' and when_changed is not null then
    -- Compared as they are stored: that is there for every type, in whatever schema.
    conditions := conditions || (
      select format('row(%s)::record operator(pg_catalog.*<>) row(%s)::record', string_agg(format('o.%I', c), ', '),
        string_agg(format('n.%I', c), ', '))
      from unnest(when_changed) c);
  end if;
  if user_ids is not null or group_ids is not null then
    conditions := conditions || format('%s <> ''{}''', concat_ws(' || ', users, groups));
  end if;
  if site_id is not null then
    conditions := conditions || format('%s.%I is not null', r, site_id);
  end if;

  return format(E'select row(%s, %s, %s, %s, %s, null, %L::int, %L::int)::%I.publication\nfrom %s%s%s',
    case when site_id is null then 'null' else column_text("table", site_id, r) end,
    change_channel("table", channel, r), data,
    coalesce('nullif(' || users || ', ''{}'')', 'null'), coalesce('nullif(' || groups || ', ''{}'')', 'null'),
    max_backlog_size, max_backlog_age, current_schema(),
    -- Old and new rows of an update are in the same order there. That pairs them also where a key has changed, or there
    -- is none.
    case when pairs then
      format(E'(select row_number() over () as %2$I, %1$s from "new rows" t) n\njoin (select row_number() over () as %2$I, %1$s from "old rows" t) o using (%2$I)', taken, number)
      when operation collate "C" = 'delete' then format('(select %s from "old rows" t) o', taken)
      else format('(select %s from "new rows" t) n', taken) end,
    coalesce(E'\nwhere ' || nullif(array_to_string(conditions, E'\n  and '), ''), ''),
    case when pairs then format(E'\norder by %I', number) else '' end);
end
$$;
