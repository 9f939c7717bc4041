-- A condition runs with the search path of Postgres alone. Of a column whose type is in another schema, such as citext,
-- it would not find the operators there; and if that type can become another one by itself, find those of that one:
-- email = 'ANN@X' would tell capitals from small letters, as in no query. So it would of what the condition itself
-- makes such a type: name::public.citext = 'ANN'. This gives a statement that raises if the schemas of those types make
-- a difference: it reads the condition once without and once with them.
create or replace function change_condition_probe("table" regclass, condition text) returns text
language plpgsql stable parallel safe
as $$
#variable_conflict use_variable
declare
  -- Of the columns, and of what a view is made of: types, what functions and operators return, columns of other tables.
  types constant text := format($types$
    select a.atttypid from pg_attribute a where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
    union select coalesce(t.oid, p.prorettype, o.oprresult, a.atttypid) from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
      left join pg_type t on d.refclassid = 'pg_type'::regclass and t.oid = d.refobjid left join pg_proc p on d.refclassid = 'pg_proc'::regclass and p.oid = d.refobjid
      left join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
      left join pg_attribute a on d.refclassid = 'pg_class'::regclass and a.attrelid = d.refobjid and a.attnum = d.refobjsubid and a.attrelid <> r.ev_class
      where r.ev_class = $1::regclass$types$, "table"::oid);
  schemas constant text := format($schemas$
    select string_agg(distinct format('%%I', n.nspname), ', ')
    from (%s) used(type) join pg_type t on t.oid = used.type left join pg_type e on e.oid = t.typelem and t.typcategory = 'A'
    left join pg_type b on b.oid = coalesce(e.typbasetype, t.typbasetype) join pg_namespace n on n.oid in (t.typnamespace, e.typnamespace, b.typnamespace)
    where n.nspname <> 'pg_catalog' and t.oid <> (select c.reltype from pg_class c where c.oid = %s)$schemas$, types, "table"::oid);
  view text := format('%I.%I', (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = "table"), gen_random_uuid());
begin
  if condition is null then
    return null;
  end if;
  return format('do %L', format(
    'declare meanings text[]; schemas text; begin '
    'begin '
      'for i in 1..2 loop '
        'perform set_config(''search_path'', concat_ws('', '', ''pg_catalog, pg_temp'', schemas), true); execute %1$L; perform set_config(''search_path'', ''pg_catalog, pg_temp'', true); '
        'meanings := meanings || pg_get_viewdef(%2$L::regclass); execute %3$L into schemas using %2$L; execute %4$L; '
        'exit when schemas is null; '
      'end loop; '
    -- Other errors are those of the condition itself, and told of elsewhere.
    'exception when others then return; end; '
    'if meanings[1] <> meanings[2] then raise exception using message = format(''%%s would not use the operators of the types in %%s'', %5$L::text, schemas); end if; end',
    format(E'create view %s as select (%s\n) as c from (select (x.r).* from (select null::%s as r) x) t', view,
      condition, table_name("table")),
    view, schemas, 'drop view ' || view, condition));
end
$$;
