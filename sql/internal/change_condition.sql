-- A condition runs with the search path of Postgres alone. Of a column whose type is in another schema, such as citext, it would not find
-- the operators there; and if that type can become another one by itself, find those of that one: email = 'ANN@X' would tell capitals
-- from small letters, as in no query. This gives a statement that raises if the schemas of the column types make a difference: it
-- reads the condition once without and once with them. Null if all types are those of Postgres.
create or replace function change_condition_probe("table" regclass, condition text) returns text
language plpgsql stable
as $$
#variable_conflict use_variable
declare
  schemas text := (
    select string_agg(distinct format('%I', n.nspname), ', ')
    from pg_attribute a join pg_type t on t.oid = a.atttypid left join pg_type e on e.oid = t.typelem and t.typcategory = 'A'
    left join pg_type b on b.oid = coalesce(e.typbasetype, t.typbasetype) join pg_namespace n on n.oid in (t.typnamespace, e.typnamespace, b.typnamespace)
    where a.attrelid = "table" and a.attnum > 0 and not a.attisdropped and n.nspname <> 'pg_catalog'
  );
  view text := format('%I.%I', (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = "table"), gen_random_uuid());
begin
  if condition is null or schemas is null then
    return null;
  end if;
  return format('do %L', format(
    'declare meanings text[]; path text; begin '
    'begin '
      'foreach path in array array[current_setting(''search_path''), %1$L] loop '
        'perform set_config(''search_path'', path, true); execute %2$L; perform set_config(''search_path'', ''pg_catalog, pg_temp'', true); '
        'meanings := meanings || pg_get_viewdef(%3$L::regclass); execute %4$L; '
      'end loop; '
    -- Other errors are those of the condition itself, and told of elsewhere.
    'exception when others then return; end; '
    'if meanings[1] <> meanings[2] then raise exception using message = format(''%%s would not use the operators of the types in %%s'', %5$L::text, %6$L::text); end if; end',
    'pg_catalog, pg_temp, ' || schemas, format(E'create view %s as select (%s\n) as c from (select (x.r).* from (select null::%s as r) x) t', view, condition, table_name("table")),
    view, 'drop view ' || view, condition, schemas));
end
$$;
