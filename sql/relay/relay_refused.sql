-- The messages that the relay could not publish, oldest first, with the error of each: see relay_retry() and
-- relay_discard().
create or replace function relay_refused() returns table (
  id bigint, channel text, site_id text, data jsonb, user_ids text[], group_ids text[], client_ids text[],
  put_down_at timestamptz, refused_at timestamptz, sqlstate text, error text
)
language plpgsql stable parallel safe security definer set search_path from current set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
begin
  return query
    select o.id, o.channel::text, nullif((o.options).site, '')::text, coalesce(o.data, 'null'), (o.options).user_ids,
      (o.options).group_ids, (o.options).client_ids,
      o.put_down_at, f.refused_at, f.sqlstate, f.error
    from relay_outbox o join refusals f on f.id = o.id where o.xid = '0' order by o.id;
end
$$;
