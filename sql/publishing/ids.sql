-- Ids as the functions that publish take them, of numbers, uuids or strings: user_ids => ids(new.customer_id). Never
-- null, which would be for everyone; so it is not strict, and refuses nulls. With the rights of its caller.
create or replace function ids(variadic ids anycompatiblearray) returns text[]
language plpgsql stable parallel safe set search_path from current
as $$
declare
  kind pg_type;
  result text[] := array(select i from unnest(ids::text[]) i);
begin
  select e.* into kind from pg_type a join pg_type e on e.oid = a.typelem where a.oid = pg_typeof(ids);
  if kind.typcategory = 'N' then
    -- Of a column numeric(10,2), or of floats: those from 1e15 on have lost digits, and are written with an exponent.
    result := array(select regexp_replace(i, '\.0+$', '') from unnest(result) i);
  end if;
  if cardinality(result) = 0 or array_position(result, null) is not null then
    raise exception using errcode = 'PB002', message = 'ids: must be at least one id, none of them null',
      hint = 'Null in place of a list of ids would publish to everyone: say so, by leaving the list out.';
  elsif cardinality(ids) = 1 and kind.typcategory = 'S'
    and result[1] collate "C" ~ '^\s*\{([^{}]*,[^{}]*|\s*"?-?[0-9]*"?\s*)\}\s*$'
    and result[1] collate "C" !~ '^\s*\{\s*"[^"]*"\s*:' then
    -- Nobody has that for an id, so it would reach nobody. Uuids in braces and objects of JSON may be ids.
    raise exception using errcode = 'PB002',
      message = format('ids: %s is one string that looks like an array', left(result[1], 300)),
      hint = 'For the ids in an array, say: ids(variadic ''{42,43}''::text[]).';
  elsif not (kind.typcategory in ('S', 'E', 'N') or 'uuid'::regtype in (kind.oid, kind.typbasetype))
    or kind.typcategory = 'N' and exists (select from unnest(result) i where i collate "C" !~ '^-?[0-9]+$') then
    raise exception using errcode = 'PB002',
      message = format('ids: must be whole numbers, uuids or strings, not %s', left(ids::text, 300));
  end if;
  return result;
end
$$;
