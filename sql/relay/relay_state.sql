-- How what was put down for the nodes fares: how many messages wait, for how long the oldest has, which node publishes
-- them, when it last asked for any, and how many were put aside, see relay_refused(). What is not committed yet is not
-- there yet. After the database's clock was set back, no time lies in the future.
create or replace function relay_state()
  returns table (relay boolean, waiting bigint, oldest interval, node text, seen_at timestamptz, refused bigint)
language plpgsql volatile parallel safe security definer set search_path from current set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
begin
  return query
    select s.relay, o.waiting, o.oldest, nullif(r.node, ''),
      case when r.seen_at > '-infinity' then least(r.seen_at, clock_timestamp()) end, (select count(*) from refusals)
    from settings s, relaying r,
      (select count(*) as waiting, case when count(*) > 0 then greatest(clock_timestamp() - min(o.put_down_at),
        interval '0') end as oldest from relay_outbox o where o.xid >= waiting_from()) o;
end
$$;
