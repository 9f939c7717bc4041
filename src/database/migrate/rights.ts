import pg from 'pg';
import { doBlock } from './sql/do-block.js';
import { migrationLockTable, namesLiteral, type SchemaSql } from './sql/load.js';

/**
 * Rights in the schema are set by two steps of SQL, before and after tables and functions are created. noteRights()
 * returns the first step: it notes which objects exist, and who may execute which function. restrictRights() returns
 * the second: it takes all rights to new objects from everybody but their owner, and gives the rights to a function
 * that was dropped to the new functions of its name.
 */
export function noteRights(schema: string): string {
  const body = `
declare
  ours oid := (select n.oid from pg_namespace n where n.nspname = ${pg.escapeLiteral(schema)});
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
end`;
  return doBlock(body);
}

/**
 * Returns the second step, see noteRights(). Postgres lets everybody execute new functions and use new types, and
 * "alter default privileges" may grant more. A role that may use a row type can keep the table from being altered, by a
 * temporary table of that type.
 *
 * Rights to objects that existed before stay as an operator has set them. Exceptions: objects that have never had an
 * ACL, as `pg_restore --no-privileges` leaves them; and the table that migrators lock, which nobody else may lock.
 */
export function restrictRights(schema: string, { functionNames, relationNames }: SchemaSql): string {
  const body = `
declare
  ours oid := (select n.oid from pg_namespace n where n.nspname = ${pg.escapeLiteral(schema)});
  known text[] := current_setting('postbus.known');
  made record;
begin
  for made in
    select o.kind, o.name, a.grantee
    from (
      select 'function' as kind, p.oid::regprocedure::text as name, p.proowner as owner, coalesce(p.proacl, acldefault('f', p.proowner)) as acl
        from pg_proc p where p.pronamespace = ours and ('f' || p.oid <> all (known) or p.proacl is null and p.proname = any (${namesLiteral(functionNames)}))
      union all
      select case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass::text, c.relowner, c.relacl
        from pg_class c where c.relnamespace = ours and c.relkind in ('r', 'S') and ('r' || c.oid <> all (known) or c.relname = ${pg.escapeLiteral(migrationLockTable)})
      union all
      select 'type', t.oid::regtype::text, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
        from pg_type t where t.typnamespace = ours and t.typcategory <> 'A'
          and ('t' || t.oid <> all (known) or t.typacl is null and t.typname = any (${namesLiteral(relationNames)}))
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
end`;
  return doBlock(body);
}

/**
 * Returns SQL for a schema of an earlier version, in which "alter default privileges" had granted rights. It revokes
 * the rights to all objects of the bus from the roles that default privileges name: those rights gave away the key that
 * signs notifications, and every message.
 */
export function takeBackDefaults(schema: string, { functionNames, relationNames }: SchemaSql): string {
  const body = `
declare
  ours oid;
  us oid;
  given record;
begin
  select n.oid, r.oid into ours, us from pg_namespace n cross join pg_roles r where n.nspname = ${pg.escapeLiteral(schema)} and r.rolname = current_user;
  for given in
    select o.kind, o.name, d.grantee
    from (
      select distinct a.grantee from pg_default_acl d cross join aclexplode(d.defaclacl) a
      where d.defaclrole = us and d.defaclnamespace in (0, ours) and a.grantee not in (0, us)
      union all select 0
    ) d cross join (
      select 'function' as kind, p.oid::regprocedure::text as name, p.proacl as acl from pg_proc p
        where p.pronamespace = ours and p.proname = any (${namesLiteral(functionNames)})
      union all
      select case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass::text, c.relacl from pg_class c
        where c.relnamespace = ours and c.relkind in ('r', 'S') and (c.relname = any (${namesLiteral(relationNames)})
          or c.relkind = 'S' and exists (
            select from pg_depend k join pg_class t on t.oid = k.refobjid where k.objid = c.oid and t.relname = any (${namesLiteral(relationNames)})))
      union all
      select 'type', t.oid::regtype::text, t.typacl from pg_type t where t.typnamespace = ours and t.typname = any (${namesLiteral(relationNames)})
    ) o
    where exists (select from aclexplode(o.acl) a where a.grantee = d.grantee)
      -- Earlier versions have closed functions to the public, but not types: what the public may execute, an operator has opened.
      and (d.grantee <> 0 or o.kind = 'type')
  loop
    execute format('revoke all on %s %s from %s', given.kind, given.name, case given.grantee when 0 then 'public' else given.grantee::regrole::text end);
  end loop;
end`;
  return doBlock(body);
}
