-- How what was put down for the nodes fares: how many messages wait, for how long the oldest has, and which node publishes
-- them, when it last asked for any.
create or replace function relay_state() returns table (relay boolean, waiting bigint, oldest interval, node text, seen_at timestamptz)
language plpgsql stable security definer set search_path from current set enable_seqscan = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
    select s.relay, o.waiting, o.oldest, nullif(r.node, ''), nullif(r.seen_at, '-infinity')
    from settings s, relaying r, (select count(*) as waiting, clock_timestamp() - min(o.put_down_at) as oldest from outbox o where o.xid = '0') o;
end
$$;
