-- What publish_changes() is made of. That one runs as its caller, and needs EXECUTE on change_function() and
-- change_mark() besides. publish_rows() or shrink_backlogs() is what the trigger function calls.
create or replace function change_function(
  "table" regclass, channel text, operations text[], columns text[], except_columns text[], condition text,
  when_changed text[],
  old_values boolean, user_ids text, group_ids text, site_id text, via text, on_error text, unrestricted boolean,
  max_backlog_size int, max_backlog_age int, name text,
  out body text, out probes text[]
)
language plpgsql stable security definer set search_path from current
as $$
#variable_conflict use_variable
declare
  query text;
  branches text := '';
  operation text collate "C";
  -- Rows of no table: whether the queries make sense, their columns, types and functions, shows before there is a
  -- trigger.
  no_rows text := format('(select (x.r).* from (select null::%s as r) x where false)', table_name("table"));
  call text;
begin
  perform check_changes("table", channel, operations, columns, except_columns, when_changed, user_ids, group_ids,
    site_id, via, on_error, unrestricted, name);
  perform check_limit(max_backlog_size, 'max_backlog_size'), check_limit(max_backlog_age, 'max_backlog_age');
  perform check_reach(max_backlog_size, max_backlog_age, '',
    (select pg_get_userbyid(c.relowner) from pg_class c where c.oid = "table"));
  -- Only the latter may shrink backlogs. The trigger function calls it with the rights of the table's owner.
  call := format('perform %I.%s(items, %L, %L, format(''trigger %%I on %%s'', tg_name, tg_relid::regclass));',
    current_schema(),
    (select case when max_backlog_size < s.max_backlog_size then 'shrink_backlogs'
      else 'publish_rows' end from settings s), via, on_error);
  foreach operation in array operations loop
    query := change_query("table", operation, channel, columns, except_columns, condition, when_changed,
      coalesce(old_values, false),
      user_ids, group_ids, site_id, max_backlog_size, max_backlog_age);
    probes := probes || format('with "new rows" as %1$s, "old rows" as %1$s %2$s', no_rows, query);
    branches := branches || format(E'    if tg_op = %L then\n', upper(operation));
    if operation = 'update' and (old_values or when_changed is not null)
      and (select c.relkind = 'p' from pg_class c where c.oid = "table") then
      -- Only where a row moved to a partition whose own trigger then made it vanish.
      branches := branches || E'      if (select count(*) from "old rows") <> (select count(*) from "new rows") then\n'
        || E'        raise exception ''rows were lost on their way to another partition: which has become which is not known'';\n      end if;\n';
    end if;
    branches := branches || format(E'      items := array(\n%s);\n    end if;\n', query);
  end loop;
  probes := array_remove(probes || change_condition_probe("table", condition), null);
  -- Where errors end the statement, nothing is written inside the block: a transaction of many statements would
  -- otherwise have many subtransactions with ids, which slows down everybody's snapshots. What the function reads is
  -- not for its owner any more when the table has another one.
  body := format(E'#variable_conflict use_column\ndeclare\n  items %1$I.publication[];\n  owner name;\n  fault text;\n  hint text;\nbegin\n  begin\n'
    '    select pg_get_userbyid(t.relowner) into owner from pg_class t where t.oid = coalesce(pg_partition_root(tg_relid), tg_relid);\n'
    '    if owner <> current_user then\n      raise exception using errcode = ''PB006'', message = format(''table: it belongs to %%I now, and the trigger function to %%I'', owner, current_user),\n'
    '        hint = ''Call publish_changes() again, which makes a function that belongs to the owner of the table.'';\n    end if;\n'
    '%2$s%3$s'
    '  exception when others then\n    get stacked diagnostics fault = message_text, hint = pg_exception_hint;\n'
    '    raise %4$s using errcode = sqlstate, hint = coalesce(nullif(hint, ''''), ''publish_changes() made the trigger: call it again where the table is no longer what it was.''),\n      message = format(''%%s (trigger %%I on %%s)'', fault, tg_name, tg_relid::regclass);\n  end;\n%5$s  return null;\nend',
    current_schema(), branches, case on_error collate "C" when 'warn' then format(E'    %s\n', call) else '' end,
    case on_error collate "C" when 'warn' then 'warning' else 'exception' end,
      case on_error collate "C" when 'warn' then '' else format(E'  %s\n', call) end);
end
$$;

-- Publishes what a statement has changed. The changes that cannot be a message are told of with the trigger's name, and
-- with on_error 'warn' left out.
create or replace function publish_changed(items publication[], via text, on_error text, "trigger" text) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  m publication;
  most int;
  bad publication;
  sound publication[];
  fault text;
  hint text;
begin
  -- The trigger functions say what is right. Their owner can also call this by hand.
  fault := case
    when items is null then 'items: must be a list, not null'
    when via is null or via collate "C" not in ('publish', 'publish_later') then 'via: must be publish_later or publish'
    when on_error is null or on_error collate "C" not in ('fail', 'warn') then 'on_error: must be fail or warn'
  end;
  if fault is not null then
    raise exception using errcode = 'PB006', message = fault;
  end if;
  select s.max_data_size into most from settings s;
  select i.* into bad from unnest(items) i
    where not is_message(i.channel, i.user_ids, i.group_ids, i.client_ids, i.site, i.max_backlog_size,
      i.max_backlog_age)
      or data_bytes(i.data, most) > most limit 1;
  if found then
    sound := array(select i.*::publication from unnest(items) i
      where is_message(i.channel, i.user_ids, i.group_ids, i.client_ids, i.site, i.max_backlog_size, i.max_backlog_age)
        and (data_bytes(i.data, most) > most) is not true);
    begin
      perform check_message(bad.channel, bad.user_ids, bad.group_ids, bad.client_ids, bad.site, bad.max_backlog_size,
        bad.max_backlog_age);
      perform check_data(bad.data);
    exception when others then
      get stacked diagnostics fault = message_text, hint = pg_exception_hint;
      if on_error collate "C" = 'fail' then
        raise exception using errcode = sqlstate, hint = hint, message = format('%s (%s)', fault, "trigger");
      end if;
      raise warning using errcode = sqlstate, hint = hint,
        message = format('%s (%s; rows not published: %s)', fault, "trigger", cardinality(items) - cardinality(sound));
    end;
    items := sound;
  end if;
  if items = '{}' then
    return;
  elsif via collate "C" = 'publish' then
    foreach m in array items loop
      perform publish_checked(m);
    end loop;
  else
    if on_error collate "C" = 'warn' then
      -- See publish_outbox().
      perform set_config('postbus.on_error', 'warn', true);
    end if;
    perform put_down(items);
  end if;
end
$$;

-- Publishes for trigger functions that name no size below the bus-wide one. If the bus-wide size was raised after the
-- function was made, the bus-wide size counts.
create or replace function publish_rows(items publication[], via text, on_error text, "trigger" text) returns void
language plpgsql security definer set search_path from current
as $$
begin
  perform publish_changed(within_reach(items, (select s.max_backlog_size from settings s)), via, on_error, "trigger");
end
$$;

-- Publishes for trigger functions that name a size below the bus-wide one. EXECUTE on this function is the right to
-- name such sizes, in every function of the bus: see check_reach().
create or replace function shrink_backlogs(items publication[], via text, on_error text, "trigger" text) returns void
language plpgsql security definer set search_path from current
as $$
begin
  perform publish_changed(within_reach(items, 1), via, on_error, "trigger");
end
$$;

-- The comment on a trigger function: by this, stop_publishing_changes() knows its own.
create or replace function change_mark(name text default null) returns text
  language sql stable parallel safe set quote_all_identifiers = off
return format('Made by %I.publish_changes()', current_schema()) || case when name is null then ''
  else format(', name => %L', name) end;
