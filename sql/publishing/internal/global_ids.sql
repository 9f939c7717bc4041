-- The last global id that can be seen: that of the row of the window that was begun last. It is kept nowhere else: a
-- counter is a chain of its versions for as long as any old snapshot lasts, a backup's for example, and each
-- publication would go through all of it. Which row that is, a sequence tells, which knows no versions; but no more
-- than tells. What is rolled back it does not know, and who publishes from an old snapshot, which must fail, sets it
-- back. So the row may not be there, or another may follow it. Stable, although it reads a sequence: whatever that
-- says, the answer is that of the snapshot. Were it volatile, it would look with a snapshot of its own, and a reader
-- who takes its answer for the end of what has been read would pass over messages.
create or replace function last_global_id() returns bigint
language plpgsql stable
as $$
declare
  last bigint;
begin
  select (
      select r.global_id from global_ring r
      where r.slot = (block_of(n.last_value) % b.ring_size)::int and block_of(r.global_id) = block_of(n.last_value)
        and (r.global_id % block_size() < block_size() - 1 or not exists (
          select from global_ring t where t.slot = ((block_of(n.last_value) + 1) % b.ring_size)::int
            and block_of(t.global_id) = block_of(n.last_value) + 1
        ))
    ) into last from newest_global_id n cross join bus b;
  if last is null then
    select greatest(max(r.global_id), (select s.expired_global_id from settings s)) into last from global_ring r;
  end if;
  return last;
end
$$;

-- Waits for the turn to give out global ids, which the transaction then has to its end: so they become visible in their
-- order. Returns the last of as many, and the slots that global_ring has: who changes them has the turn, too. It is the
-- last of all locks: publish() leaves it to announce(), at commit.
create or replace function take_global_ids(total int, out last_id bigint, out slots int)
language plpgsql
as $$
declare
  newest bigint;
  state text;
begin
  lock table turn in share update exclusive mode;
  if current_setting('transaction_isolation') <> 'read committed' then
    -- Fails where the window has got another size or was emptied since: all else that was published changed a row of it
    -- that is about to be written to, which fails, too.
    perform from bus for share;
  end if;
  newest := pg_sequence_last_value('newest_global_id');
  select b.ring_size, setval('newest_global_id', total + coalesce((
      -- The last that has room left: none can follow it.
      select r.global_id from global_ring r
      where r.slot = (block_of(newest) % b.ring_size)::int and block_of(r.global_id) = block_of(newest)
        and r.global_id % block_size() < block_size() - 1
    ), last_global_id())), set_config('postbus.turn', 'taken', true) -- see publish_outbox()
    into slots, last_id, state from bus b;
end
$$;
