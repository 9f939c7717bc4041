-- Drops all messages; ids go on from where they were.
create or replace function expire_all_backlogs() returns void
language plpgsql security definer set search_path from current
as $$
declare
  expired bigint;
begin
  -- In the order in which configure() locks.
  perform from settings for update;
  -- What is being published right now gets a later global id, at its commit, and stays.
  lock table turn in share update exclusive mode;
  expired := last_global_id();
  update settings s set expired_global_id = expired, version = s.version + 1;
  delete from global_ring;
  -- See take_global_ids().
  update bus b set passed_global_id = greatest(b.passed_global_id, expired);
  -- Never waits for a publisher, who may be waiting for the turn: a row it is writing to goes anyway.
  delete from messages m using (
    select d.channel_id, d.slot from messages d where d.global_id <= expired for update skip locked
  ) d where m.channel_id = d.channel_id and m.slot = d.slot;
  perform announce_settings();
end
$$;
