-- Hands the messages that the relay could not publish to it once more: those of these ids, see relay_refused(), or all.
-- Returns how many.
create or replace function relay_retry(ids bigint[] default null) returns bigint
language plpgsql security definer set search_path from current set enable_seqscan = off set jit = off
as $$
#variable_conflict use_column
declare
  count bigint;
begin
  with again as (delete from refusals f where relay_retry.ids is null or f.id = any (relay_retry.ids) returning f.id)
  update relay_outbox o set xid = pg_current_xact_id() from again a where o.xid = '0' and o.id = a.id;
  get diagnostics count = row_count;
  return count;
end
$$;
