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
  elsif not (kind.typcategory in ('S', 'E', 'N') or 'uuid'::regtype in (kind.oid, kind.typbasetype))
    or kind.typcategory = 'N' and exists (select from unnest(result) i where i collate "C" !~ '^-?[0-9]+$') then
    raise exception using errcode = 'PB002',
      message = format('ids: must be whole numbers, uuids or strings, not %s', left(ids::text, 300));
  end if;
  return result;
end
$$;
