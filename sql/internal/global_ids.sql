-- The last global id that can be seen: that of the row of the window that was begun last. It is kept nowhere else: a counter is
-- a chain of its versions for as long as any old snapshot lasts, a backup's for example, and each publication would go through
-- all of it. Which row that is, a sequence tells, which knows no versions; but no more than tells: what is rolled back, it
-- does not know.
create or replace function last_global_id() returns bigint
language plpgsql stable
as $$
declare
  last bigint;
begin
  select (select r.global_id from global_ring r where r.slot = (n.last_value / 16 % b.ring_size)::int and r.global_id / 16 = n.last_value / 16)
    into last from newest_global_id n cross join bus b;
  if last is null then
    select greatest(max(r.global_id), (select s.expired_global_id from settings s)) into last from global_ring r;
  end if;
  return last;
end
$$;

-- Waits for the turn to give out global ids, which the transaction then has to its end: so they become visible in their order.
-- Returns the last of as many. It is the last of all locks: publish() leaves it to announce(), at commit. slots: of global_ring;
-- with another number than it has now, this takes longer.
create or replace function take_global_ids(total int, slots int) returns bigint
language plpgsql
as $$
declare
  newest bigint;
  last bigint;
begin
  lock table turn in share update exclusive mode;
  if current_setting('transaction_isolation') <> 'read committed' then
    -- Fails where configure() has given the window another size since.
    perform from bus for share;
  end if;
  newest := pg_sequence_last_value('newest_global_id');
  select r.global_id into last from global_ring r where r.slot = (newest / 16 % slots)::int and r.global_id / 16 = newest / 16;
  return setval('newest_global_id', coalesce(last, last_global_id()) + total);
end
$$;
