-- Drops all messages. Ids go on from where they were: connected clients miss nothing that is published later.
create or replace function reset() returns void
language plpgsql security definer set search_path from current
as $$
begin
  perform expire_all_backlogs();
end
$$;
