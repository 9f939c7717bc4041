-- Removes what publish_changes() has made for a table: under this name, or all of it. The function goes with its last
-- trigger: a partition that was taken out of the table may still have some. If the table had another owner before, it
-- stays unless the caller may drop what is that owner's.
create or replace function stop_publishing_changes("table" regclass, name text default null) returns void
language plpgsql set search_path from current
as $$
declare
  made record;
  functions regprocedure[] := '{}';
  f record;
begin
  for made in
    select t.tgname, t.tgrelid::regclass as relation, p.oid::regprocedure as function from pg_trigger t
      join pg_proc p on p.oid = t.tgfoid
    where (t.tgrelid = "table" or t.tgrelid in (select r.relid from pg_partition_tree("table") r))
      and (obj_description(p.oid, 'pg_proc') = change_mark(stop_publishing_changes.name) collate "C"
        or stop_publishing_changes.name is null and starts_with(obj_description(p.oid, 'pg_proc'), change_mark()))
  loop
    execute format('drop trigger %I on %s', made.tgname, made.relation);
    functions := functions || made.function;
  end loop;
  for f in
    select p.oid::regprocedure as function, p.proowner as owner from pg_proc p
    where p.oid = any (functions) and not exists (select from pg_trigger t where t.tgfoid = p.oid)
  loop
    if pg_has_role(f.owner, 'usage') then
      execute format('drop function %s', f.function);
    else
      raise notice 'the function % belongs to %, who may drop it', f.function, f.owner::regrole;
    end if;
  end loop;
end
$$;
