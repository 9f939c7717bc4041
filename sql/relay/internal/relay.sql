-- Asked by every node again and again: publishes a batch of what waits, where it falls to this node. part says what to
-- do next:
--   never    nothing waits, and the relay never was on: there is nothing to ask for before a node hears that the
--            settings have changed, or of messages that were left to the nodes (see lock_or_relay)
--   off      the relay is off, and nothing waits; a transaction may still be open that put something down before
--   other    another node relays; it lost that right when it has not asked for a second
--   idle     this node relays; whatever waited is published, as far as it can be
--   busy     this node relays, and there was more than makes a batch
-- and refused, how many messages had to be put aside.
-- The right is a row of our own, not an advisory lock: any role could take that, and a pooler in between would lose it.
-- Nothing depends on it but who asks how often: batches of two nodes would still come one after the other, by the lock
-- of the row, and rows are deleted in the transaction that publishes them. Asked again after a pause where a batch was
-- not full: larger ones cost less a message, and leave more to those who commit. Where nothing waits this writes next
-- to nothing: it renews the right now and then, without a wait for the disk. Speaks of errors alone, as announce()
-- does.
create or replace function relay(node text, out part text, out refused int)
language plpgsql security definer set search_path from current set client_min_messages = error set enable_seqscan = off
  set jit = off
  set lock_timeout = '500ms'
as $$
#variable_conflict use_column
declare
  r relaying;
  is_on boolean;
  was_on boolean;
  waits boolean;
  batch record;
  upto xid8;
begin
  refused := 0;
  select s.relay, s.relayed into is_on, was_on from settings s;
  upto := pg_snapshot_xmin(pg_current_snapshot());
  select true into waits from relay_outbox o where o.xid >= waiting_from() order by o.xid, o.id limit 1;
  if not is_on and waits is null then
    part := case when was_on then 'off' else 'never' end;
    return;
  end if;
  part := 'other';
  select * into r from relaying;
  if r.node <> relay.node collate "C" and is_recent(r.seen_at, '1 s') then
    return;
  end if;
  if r.node = relay.node collate "C" and is_recent(r.seen_at, '300 ms') and waits is null then
    part := 'idle';
    return;
  end if;
  select * into r from relaying for update skip locked;
  if not found or r.node <> relay.node collate "C" and is_recent(r.seen_at, '1 s') then
    return;
  end if;
  part := 'idle';
  if waits then
    select * into batch from publish_waiting(waiting_from());
    upto := batch.upto;
    refused := batch.refused;
    if batch.is_full then
      part := 'busy';
    end if;
  else
    perform set_config('synchronous_commit', 'off', true);
  end if;
  if r.node <> relay.node collate "C" or not is_recent(r.seen_at, '300 ms') then
    update relaying set node = relay.node, seen_at = clock_timestamp(), from_xid = upto;
  end if;
end
$$;

-- Whether a time lies within this span before now. A time to come does not: the clock was set back since, and the lease
-- of a node that died would last for as long as the step.
create or replace function is_recent(at timestamptz, span interval) returns boolean language sql volatile parallel safe
return at > clock_timestamp() - span and at <= clock_timestamp();

-- The first transaction that something in relay_outbox may wait of. In a database that was restored from a dump,
-- transactions may have begun anew.
create or replace function waiting_from() returns xid8 language sql stable parallel safe
return (select case when r.from_xid <= pg_snapshot_xmin(pg_current_snapshot()) then r.from_xid else '3' end
  from relaying r);
