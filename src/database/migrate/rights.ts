/**
 * Who may use what in the schema. Two steps of SQL, one before and one after the tables and functions are made:
 * the first notes what is there, and who may execute which function; the second takes all rights to what is new from
 * everybody but its owner, and gives those of a function that was dropped to the new ones of its name.
 */
export const noteRights = `
do $$
declare
  ours oid := (select n.oid from pg_namespace n where n.nspname = current_schema());
begin
  perform set_config('postbus.known', array(
    select 'f' || p.oid from pg_proc p where p.pronamespace = ours
    union all select 'r' || c.oid from pg_class c where c.relnamespace = ours
    union all select 't' || t.oid from pg_type t where t.typnamespace = ours
  )::text, true);
  -- A function without an ACL is open to everybody because nobody has closed it, not because somebody has opened it.
  perform set_config('postbus.executors', (
    select coalesce(jsonb_agg(jsonb_build_object('name', p.proname, 'grantee', a.grantee::bigint, 'grantable', a.is_grantable)), '[]')
    from pg_proc p cross join aclexplode(p.proacl) a
    where p.pronamespace = ours and a.grantee <> p.proowner
  )::text, true);
end
$$;
`;

/**
 * Postgres lets everybody execute new functions and use new types, and "alter default privileges" gives away more. Rights
 * to what was there before stay as an operator has made them.
 */
export const restrictRights = `
do $$
declare
  ours oid := (select n.oid from pg_namespace n where n.nspname = current_schema());
  known text[] := current_setting('postbus.known');
  made record;
begin
  for made in
    select o.kind, o.name, a.grantee
    from (
      select 'function' as kind, p.oid::regprocedure::text as name, p.proowner as owner, coalesce(p.proacl, acldefault('f', p.proowner)) as acl
        from pg_proc p where p.pronamespace = ours and 'f' || p.oid <> all (known)
      union all
      select case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass::text, c.relowner, c.relacl
        from pg_class c where c.relnamespace = ours and c.relkind in ('r', 'S') and 'r' || c.oid <> all (known)
      union all
      select 'type', t.oid::regtype::text, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
        from pg_type t where t.typnamespace = ours and t.typcategory <> 'A' and 't' || t.oid <> all (known)
    ) o cross join aclexplode(o.acl) a
    where a.grantee <> o.owner
  loop
    execute format('revoke all on %s %s from %s', made.kind, made.name, case made.grantee when 0 then 'public' else made.grantee::regrole::text end);
  end loop;

  for made in
    select p.oid::regprocedure as name, e.grantee, bool_or(e.grantable) as grantable
    from pg_proc p join jsonb_to_recordset(current_setting('postbus.executors')::jsonb) e(name name, grantee oid, grantable boolean) on e.name = p.proname
    where p.pronamespace = ours and 'f' || p.oid <> all (known)
    group by p.oid, e.grantee
  loop
    execute format('grant execute on function %s to %s%s', made.name, case made.grantee when 0 then 'public' else made.grantee::regrole::text end,
      case when made.grantable then ' with grant option' else '' end);
  end loop;
end
$$;
`;
