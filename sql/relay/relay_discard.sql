-- Drops messages that the relay could not publish, by their ids, see relay_refused(). Returns how many.
create or replace function relay_discard(ids bigint[]) returns bigint
language plpgsql security definer set search_path from current set enable_seqscan = off set jit = off
as $$
#variable_conflict use_column
declare
  count bigint;
begin
  with dropped as (delete from refusals f where f.id = any (relay_discard.ids) returning f.id)
  delete from relay_outbox o using dropped d where o.xid = '0' and o.id = d.id;
  get diagnostics count = row_count;
  return count;
end
$$;
