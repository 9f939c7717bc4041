-- The messages of publish_many(), numbered from 1, with site_id as it was given; is_batch_item() has looked at their
-- types.
create or replace function batch_publications(messages jsonb) returns table (n bigint, item publication, site_id text)
  language sql stable parallel safe
begin atomic
  select i.n, (site_of(i.site_id, i.channel), i.channel, coalesce(i.data, 'null'), i.user_ids, i.group_ids,
    i.client_ids,
    i.max_backlog_size, i.max_backlog_age)::publication, i.site_id
  from rows from (jsonb_to_recordset(messages) as (
    channel text, data jsonb, user_ids text[], group_ids text[], client_ids text[],
    site_id text, max_backlog_size int, max_backlog_age int
  )) with ordinality i(channel, data, user_ids, group_ids, client_ids, site_id, max_backlog_size, max_backlog_age, n);
end;

-- In a function of its own, because most lists hold strings alone, and is_id_list() could not be inlined with a query
-- in it.
create or replace function are_whole(ids jsonb) returns boolean language plpgsql immutable parallel safe
as $$
begin
  return not exists (
    select from jsonb_array_elements(ids) i
    where case jsonb_typeof(i.value) when 'string' then false when 'number' then i.value::text !~ '^-?[0-9]+$'
      else true end);
end
$$;

-- Numbers are exact here, however large. One that is not whole is no id: it has passed through a floating-point number.
-- Nor is 42.0, as some languages write whole ones of those: it would be kept as the text 42.0, which no user is called.
create or replace function is_id_list(ids jsonb) returns boolean language sql immutable parallel safe
return ids is null or jsonb_typeof(ids) = 'null'
  or jsonb_typeof(ids) = 'array' and (not jsonb_path_exists(ids, 'strict $[*] ? (@.type() != "string")', '{}', true)
    or are_whole(ids));

create or replace function is_int(value jsonb) returns boolean language sql immutable parallel safe
return value is null or jsonb_typeof(value) = 'null'
  or jsonb_typeof(value) = 'number' and value::text ~ '^-?[0-9]{1,10}$'
    and value::text::bigint between -2147483648 and 2147483647;

-- Whether a value of the list has the right keys and types. A key that is not known is an error, not something
-- to pass over: with userIds for user_ids a private message would go to everyone.
create or replace function is_batch_item(m jsonb) returns boolean language sql immutable parallel safe
return (
  jsonb_typeof(m) = 'object' and m ? 'data' and jsonb_typeof(m -> 'channel') = 'string'
  -- Most have no more than these two.
  and (m - '{channel,data}'::text[] = '{}'
    or m - '{channel,data,user_ids,group_ids,client_ids,site_id,max_backlog_size,max_backlog_age}'::text[] = '{}'
  and coalesce(jsonb_typeof(m -> 'site_id'), 'null') in ('string', 'null')
  and is_id_list(m -> 'user_ids') and is_id_list(m -> 'group_ids') and is_id_list(m -> 'client_ids')
  and is_int(m -> 'max_backlog_size') and is_int(m -> 'max_backlog_age'))
) is true;

-- What is wrong with a value of the list that is not right: '.key: what', or ': what' about the whole.
create or replace function batch_item_fault(m jsonb) returns text
language plpgsql immutable parallel safe
as $$
declare
  key text;
begin
  if jsonb_typeof(m) <> 'object' then
    return ': must be an object';
  end if;
  select k into key from jsonb_object_keys(m
    - '{channel,data,user_ids,group_ids,client_ids,site_id,max_backlog_size,max_backlog_age}'::text[]) k limit 1;
  return case
    when key is not null then format('.%s: is not known', left(key, 300))
    when jsonb_typeof(m -> 'channel') is distinct from 'string' then '.channel: must be text'
    when not m ? 'data' then '.data: is missing'
    when not is_id_list(m -> 'user_ids') then '.user_ids: must be a list of text or whole numbers'
    when not is_id_list(m -> 'group_ids') then '.group_ids: must be a list of text or whole numbers'
    when not is_id_list(m -> 'client_ids') then '.client_ids: must be a list of text or whole numbers'
    when coalesce(jsonb_typeof(m -> 'site_id'), 'null') not in ('string', 'null') then '.site_id: must be text'
    when not is_int(m -> 'max_backlog_size') then '.max_backlog_size: must be a whole number up to 2147483647'
    else '.max_backlog_age: must be a whole number up to 2147483647'
  end;
end
$$;

-- The messages of publish_many(), checked: raises what is wrong with the first that is.
create or replace function checked_publications(messages jsonb) returns publication[]
language plpgsql stable
as $$
declare
  items publication[];
  first_bad bigint;
  names_limits boolean;
  bad record;
begin
  if jsonb_typeof(messages) is distinct from 'array' then
    raise exception using errcode = 'PB005', message = 'messages: must be an array of objects',
      hint = 'For example [{"channel": "/chat", "data": "hello"}].';
  end if;
  select e.n - 1 as i, e.m into bad from jsonb_array_elements(messages) with ordinality e(m, n)
    where not is_batch_item(e.m) order by e.n limit 1;
  if found then
    raise exception using errcode = 'PB005',
      message = format('messages[%s]%s', bad.i, batch_item_fault(bad.m)),
      hint = 'A message is an object with channel (text) and data, and if need be user_ids, group_ids, client_ids (lists of text or whole numbers), site_id (text), max_backlog_size, max_backlog_age (whole numbers).';
  end if;
  select array_agg(p.item order by p.n),
      min(p.n) filter (where not is_message((p.item).channel, (p.item).user_ids, (p.item).group_ids,
        (p.item).client_ids, p.site_id,
        (p.item).max_backlog_size, (p.item).max_backlog_age)),
      count((p.item).max_backlog_size) + count((p.item).max_backlog_age) > 0
    into items, first_bad, names_limits from batch_publications(messages) p;
  if first_bad is not null then
    perform check_message((p.item).channel, (p.item).user_ids, (p.item).group_ids, (p.item).client_ids, p.site_id,
        (p.item).max_backlog_size, (p.item).max_backlog_age, format('messages[%s].', p.n - 1))
      from batch_publications(messages) p where p.n = first_bad;
  end if;
  if names_limits then
    perform check_list_reach(items);
  end if;
  return items;
end
$$;
