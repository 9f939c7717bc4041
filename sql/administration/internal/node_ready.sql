-- Tells whether a node could do its work at this moment, see bus.check(). migrations and functions: what the node's
-- code needs. missing: what of that is not there, and what else migrate would mend. denied: functions that the role may
-- not execute. Apart from the message, it does what a publish does, and so fails as that would: it writes, notifies and
-- commits. It leaves no row behind, not even a dead one:
-- - To lock a row is a write: a standby and a read-only transaction refuse it, and the commit waits for the disk. The
--   lock is compatible with all that publish() and configure() do.
-- - With so little memory, Postgres writes the rows of generate_series to a temporary file of some tens of kB. That
--   shows whether the disk has room. Most publications overwrite what is there, so they do not notice that a disk is
--   full.
-- - Nobody listens to this NOTIFY, but it fails like any other if the queue is full.
create or replace function node_ready(migrations text[], functions text[], role name = current_user, out missing text[],
  out denied text[])
language plpgsql security definer set search_path from current set client_min_messages = error set lock_timeout = '1s'
  set work_mem = '64kB'
as $$
declare
  ours oid := (select n.oid from pg_namespace n where n.nspname = current_schema());
begin
  missing := array(
    select 'the migration ' || u.name from unnest(migrations) u(name)
      where not exists (select from schema_migration m where m.name = u.name collate "C")
    union all
    select 'the function ' || u.name from unnest(functions) u(name)
      where not exists (select from pg_proc p where p.pronamespace = ours and p.proname = u.name collate "C")
    union all
    select d from unnest(schema_damage()) d
  );
  denied := array(
    select u.name from unnest(functions) u(name)
      where not exists (select from pg_proc p where p.pronamespace = ours and p.proname = u.name collate "C"
        and has_function_privilege(role, p.oid, 'execute'))
  );
  perform from settings for key share skip locked;
  perform count(*) from generate_series(1, 4000);
  perform pg_notify('postbus_question', '');
end
$$;
