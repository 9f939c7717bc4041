-- Publishes the changes of a table from here on: after each statement, a message for each row that it has changed:
--   {"op": "update", "table": "orders", "key": {"id": 7}, "row": {…}, "old": {…}}
-- ("row" is left out for deletes, "old" unless old_values). To a channel that may hold columns of the row:
-- '/orders/{id}'. By statement triggers, on the table and its partitions, and a function beside the table that belongs
-- to the owner of the table and runs with that role's rights: who changes the table needs none on the bus, and who owns
-- the bus runs none of what is written here. Called again for the same table and name, it replaces what it made.
create or replace function publish_changes(
  "table" regclass, channel text,
  operations text[] default '{insert,update,delete}', columns text[] default null, except_columns text[] default null,
  condition text default null, when_changed text[] default null, old_values boolean default false,
  user_ids text default null, group_ids text default null, site_id text default null,
  via text default 'publish_later', on_error text default 'fail', unrestricted boolean default false,
  max_backlog_size int default null, max_backlog_age int default null, name text default 'changes'
) returns void
language plpgsql set search_path from current
as $$
#variable_conflict use_variable
declare
  -- Settings of the function that is made. condition may name nothing in another schema without it, so that nobody else
  -- can put something in its place; and what is published must not depend on who changes the table: not the text of a
  -- column, in a channel for example, nor what a condition makes of it.
  fixed constant text := $set$set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO, MDY' set intervalstyle = postgres
    set bytea_output = hex set extra_float_digits = 1 set lc_monetary = 'C' set standard_conforming_strings = on set transform_null_equals = off
    set lc_numeric = 'C' set lc_time = 'C' set xmlbinary = base64 set xmloption = content set quote_all_identifiers = off
    set array_nulls = on set backslash_quote = safe_encoding set timezone_abbreviations = 'Default'
    set default_text_search_config from current set row_security = on$set$;
  made record;
  t pg_class;
  named constant text := "table"::text;
  base text collate "C";
  cut text collate "C";
  place text;
  lacking text;
  function_name text;
  probe text;
  object text collate "C";
  relation regclass;
  n int := 1;
  prepared text[];
  is_running boolean := false;
  has_passed boolean := false;
begin
  select c.* into t from pg_class c where c.oid = "table";
  select f.* into made from change_function("table", channel, operations, columns, except_columns, condition,
    when_changed, old_values,
    user_ids, group_ids, site_id, via, on_error, unrestricted, max_backlog_size, max_backlog_age, name) f;
  if not pg_has_role(current_user, t.relowner, 'member') then
    raise exception using errcode = 'PB006',
      message = format('table: %s belongs to %I', "table", pg_get_userbyid(t.relowner)),
      hint = 'What this makes belongs to the owner of the table. Call it as that role, or one that is a member of it.';
  end if;
  -- Since Postgres 16, a membership need not give both: to make triggers takes the first, to give the function away the
  -- second.
  lacking := concat_ws(', ', case when not pg_has_role(current_user, t.relowner, 'usage') then 'inherit' end,
    case when current_setting('server_version_num')::int >= 160000
      and not pg_has_role(current_user, t.relowner, 'set') then 'set' end);
  if lacking <> '' then
    raise exception using errcode = 'PB006',
      message = format('table: %s belongs to %I, of whom %I is a member without %s', "table",
      pg_get_userbyid(t.relowner), current_user, upper(lacking)),
      hint = case when lacking = 'inherit' then format('Call it after: set role %I; or after: ',
        pg_get_userbyid(t.relowner)) else 'Call it as the owner of the table; or after: ' end
        || case when current_setting('server_version_num')::int >= 160000
          then format('grant %I to %I with %s true;', pg_get_userbyid(t.relowner), current_user,
            replace(lacking, ',', ' true,')) else format('alter role %I inherit;', current_user) end;
  end if;
  -- Postgres would not say to whom. It asks nothing of the owner if a superuser gives the function away.
  select string_agg(distinct format('grant %s;', g.missing), ' ') into lacking from (
    select format('create on schema %I to %I', n.nspname, r.role)
      from pg_namespace n cross join (values (current_user), (pg_get_userbyid(t.relowner))) r(role)
      where n.oid = t.relnamespace and not has_schema_privilege(r.role, n.oid, 'create')
        and not exists (select from pg_roles c where c.rolname = current_user and c.rolsuper)
    union all
    select format('trigger on table %s to %I', p.relid, current_user)
      from pg_partition_tree("table") p where not has_table_privilege(current_user, p.relid, 'trigger')
  ) g(missing);
  if lacking is not null then
    raise exception using errcode = 'PB006',
      message = format('table: there are grants missing to publish the changes of %s', "table"),
      hint = 'Call it after: ' || lacking;
  end if;
  perform stop_publishing_changes("table", name);

  -- Cut to what the names of a trigger may have, in bytes; and then one that is not taken.
  base := t.relname;
  loop
    cut := format('%s_%s%s', base, name, case when n > 1 then '_' || n else '' end);
    if octet_length(cut) > 56 then
      base := left(base, -1);
    elsif exists (select from pg_proc p where p.pronamespace = t.relnamespace and p.proname = cut) then
      n := n + 1;
    else
      exit;
    end if;
  end loop;

  -- SQL calls a function by its name, and whoever owns the schema can rename schemas between two statements of this
  -- function: the caller would then run a function of theirs. Nobody can make one of a name that they cannot guess.
  place := (select s.nspname from pg_namespace s where s.oid = t.relnamespace);
  function_name := format('%I.%I', place, gen_random_uuid());
  probe := format('%I.%I', place, gen_random_uuid());

  -- The triggers come first, because they lock the table, and the function needs no more than its name for that.
  execute format('create function %s() returns trigger language plpgsql as $f$ begin end $f$', function_name);
  execute format('revoke execute on function %s() from public', function_name);
  execute format('comment on function %s() is %L', function_name, change_mark(name));
  foreach object in array array(select distinct o from unnest(operations) o) loop
    for relation in select "table" union select p.relid from pg_partition_tree("table") p loop
      execute format('create trigger %I after %s on %s %s for each statement execute function %s()',
        cut || '_' || object, object, relation,
        case object when 'insert' then 'referencing new table as "new rows"'
          when 'delete' then 'referencing old table as "old rows"'
          else 'referencing old table as "old rows" new table as "new rows"' end,
        function_name);
    end loop;
  end loop;
  -- Now that the table is locked, what was checked before is checked again. A transaction with an older snapshot
  -- (repeatable read) does not see another owner here, but the trigger function does.
  if not exists (select from pg_class c where c.oid = "table" and c.relowner = t.relowner
    and c.relrowsecurity = t.relrowsecurity)
    or "table"::text <> named then
    raise exception using errcode = 'PB006',
      message = format('table: another transaction has altered %s meanwhile', named),
      hint = 'Call publish_changes() again.';
  end if;
  execute format('alter function %s() owner to %I', function_name, pg_get_userbyid(t.relowner));

  -- Tries out the queries on no rows. Postgres runs immutable functions while it plans, and functions, casts and
  -- operators of the columns are those of the table's owner: so this, too, runs as the owner, never as the caller. All
  -- of it is undone: what it may have left for the commit to run would run as the caller. So would prepared statements,
  -- which Postgres does not undo.
  prepared := array(select row(p.name, p.statement, p.prepare_time)::text from pg_prepared_statements p);
  begin
    execute format('create function %s() returns void language plpgsql security definer %s as %L', probe, fixed,
      'begin ' || (select string_agg(format('execute %L; ', p), '') from unnest(made.probes) p) || 'end');
    execute format('alter function %s() owner to %I', probe, pg_get_userbyid(t.relowner));
    is_running := true;
    execute format('select %s()', probe);
    has_passed := true;
    raise exception 'undone';
  exception when others then
    for object in select p.name from pg_prepared_statements p
      where row(p.name, p.statement, p.prepare_time)::text <> all (prepared) loop
      execute format('deallocate %I', object);
    end loop;
    if not has_passed and is_running and condition is not null then
      raise exception using errcode = 'PB006', message = 'condition: ' || sqlerrm,
        hint = 'A condition is SQL over the columns of the row, such as status <> ''draft''. Other functions, types and operators than those of Postgres itself need their schema.';
    elsif not has_passed then
      raise;
    end if;
  end;

  execute format('create or replace function %s() returns trigger language plpgsql security definer %s set enable_nestloop = off set jit = off as %L',
    function_name, fixed, made.body);
  execute format('alter function %s() rename to %I', function_name, cut);
end
$$;
