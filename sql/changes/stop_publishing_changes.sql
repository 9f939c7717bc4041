-- Removes what publish_changes() has made for a table: under this name, or all of it. The function goes with its last
-- trigger: a partition that was taken out of the table may still have some. If the table had another owner before, it
-- stays unless the caller may drop what is that owner's. Triggers on partitions of other owners go with the function.
create or replace function stop_publishing_changes("table" regclass, name text default null) returns void
language plpgsql set search_path from current
as $$
declare
  made record;
  functions regprocedure[] := '{}';
  f record;
begin
  for made in
    select t.tgname, t.tgrelid::regclass as relation, p.oid::regprocedure as function,
      pg_has_role(r.relowner, 'usage') as is_mine
    from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_class r on r.oid = t.tgrelid
    where (t.tgrelid = "table" or t.tgrelid in (select r.relid from pg_partition_tree("table") r))
      and (obj_description(p.oid, 'pg_proc') = change_mark(stop_publishing_changes.name) collate "C"
        or stop_publishing_changes.name is null and starts_with(obj_description(p.oid, 'pg_proc'), change_mark()))
  loop
    if made.is_mine then
      execute format('drop trigger %I on %s', made.tgname, made.relation);
    end if;
    functions := functions || made.function;
  end loop;
  for f in
    select p.oid::regprocedure as function, p.proowner as owner, left_over.owners, left_over.is_elsewhere
    from pg_proc p, lateral (
      select string_agg(distinct r.relowner::regrole::text, ', ') as owners,
        bool_or(t.tgrelid <> "table" and t.tgrelid not in (select r.relid from pg_partition_tree("table") r))
          as is_elsewhere
      from pg_trigger t join pg_class r on r.oid = t.tgrelid where t.tgfoid = p.oid) left_over
    where p.oid = any (functions)
  loop
    if pg_has_role(f.owner, 'usage') and not coalesce(f.is_elsewhere, false) then
      -- Postgres asks for no rights on the triggers that depend on it.
      execute format('drop function %s cascade', f.function);
    elsif f.owners is null then
      raise notice 'the function % belongs to %, who may drop it', f.function, f.owner::regrole;
    elsif exists (select from pg_trigger t join pg_class r on r.oid = t.tgrelid where t.tgfoid = f.function
        and (t.tgrelid = "table" or t.tgrelid in (select r.relid from pg_partition_tree("table") r))) then
      raise exception using errcode = 'PB006',
        message = format('table: %s has partitions with triggers of %s that only their owners may drop', "table",
          f.function),
        hint = format('Call it as a superuser; or after: grant %s to %I;', f.owners, current_user);
    end if;
  end loop;
end
$$;
