import pg from 'pg';
import { doBlock } from '../sql/do-block.js';
import { namesLiteral, type SchemaSql } from '../sql/load.js';

/**
 * Returns a query for what makes the schema unsafe to migrate, with a row for each fault. Functions run with the rights
 * of their owner, and find the names in them in the schema, after pg_catalog; but an overload that fits better wins in
 * whichever of the two it is. So a role that can create objects in the schema, or has created some, could run code with
 * the rights of everyone who publishes. For the same reason, the query needs a search path of pg_catalog alone.
 *
 * Trusted are the migrating role and superusers, who can do anything anyway, and pg_database_owner if that is one of
 * them.
 */
export function schemaFaults(schema: string, { functionNames, relationNames }: SchemaSql): string {
  const name = pg.escapeLiteral(schema);
  return `
with ours as (
  select n.oid, n.nspowner, n.nspacl from pg_namespace n where n.nspname = ${name}
), trusted as (
  select r.oid from pg_roles r where r.rolsuper or r.rolname = current_user
  union all
  select 'pg_database_owner'::regrole from pg_database d join pg_roles r on r.oid = d.datdba
    where d.datname = current_database() and (r.rolsuper or r.rolname = current_user)
), owned as (
  -- What of the schema's objects has an owner of its own, and whether it bears a name of ours.
  select format('function %s(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) as object, p.proowner as owner,
      p.proname = any (${namesLiteral(functionNames)}) as is_named, true as is_overload
    from pg_proc p join ours on ours.oid = p.pronamespace
  union all
  select format('operator %s (%s, %s)', o.oprname, o.oprleft::regtype, o.oprright::regtype), o.oprowner, false, true
    from pg_operator o join ours on ours.oid = o.oprnamespace
  union all
  select format('%s %I', case c.relkind when 'S' then 'sequence' when 'v' then 'view' else 'table' end, c.relname), c.relowner,
      c.relname = any (${namesLiteral(relationNames)}), false
    from pg_class c join ours on ours.oid = c.relnamespace where c.relkind <> 'c'
  union all
  select format('type %I', t.typname), t.typowner, t.typname = any (${namesLiteral(relationNames)}), false
    from pg_type t join ours on ours.oid = t.typnamespace
    where t.typrelid = 0 or (select c.relkind = 'c' from pg_class c where c.oid = t.typrelid)
), tables as (
  select c.oid, c.relname from pg_class c join ours on ours.oid = c.relnamespace where c.relname = any (${namesLiteral(relationNames)})
)
select format('it belongs to %I, not to %I or a superuser: migrate as its owner, or drop it', pg_get_userbyid(o.nspowner), current_user) as fault
  from ours o where o.nspowner not in (select t.oid from trusted t)
union all
select format('%1$s may create in it: revoke create on schema %2$I from %1$s', case a.grantee when 0 then 'public' else a.grantee::regrole::text end, ${name})
  from ours o cross join aclexplode(o.nspacl) a where a.privilege_type = 'CREATE' and a.grantee <> o.nspowner and a.grantee not in (select t.oid from trusted t)
union all
select format('the %s in it belongs to %I', w.object, pg_get_userbyid(w.owner))
  from owned w where (w.is_overload or w.is_named) and w.owner not in (select t.oid from trusted t)
union all
select format('the %s in it belongs to %I, not to %I: alter its owner', w.object, pg_get_userbyid(w.owner), current_user)
  from owned w where w.is_named and w.owner in (select t.oid from trusted t) and pg_get_userbyid(w.owner) <> current_user
union all
select format('the trigger %I on %I runs %s, which belongs to %I: drop it', g.tgname, t.relname, p.oid::regprocedure, pg_get_userbyid(p.proowner))
  from tables t join pg_trigger g on g.tgrelid = t.oid and not g.tgisinternal join pg_proc p on p.oid = g.tgfoid
  where p.proowner not in (select t.oid from trusted t)
union all
select format('the foreign key %I of %s refers to %I: drop it', k.conname, k.conrelid::regclass, t.relname)
  from tables t join pg_constraint k on k.confrelid = t.oid and k.contype = 'f' join pg_class c on c.oid = k.conrelid
  where c.relowner not in (select t.oid from trusted t)`;
}

/** Returns SQL that raises these faults as an error, for SQL that is applied by hand. */
export function raiseUnsafe(schema: string, sql: SchemaSql): string {
  const body = `
declare
  faults text;
begin
  select string_agg(f.fault, '; ') into faults from (${schemaFaults(schema, sql)}) f;
  if faults is not null then
    raise exception using message = format('The schema %I cannot be trusted: %s', ${pg.escapeLiteral(schema)}, faults);
  end if;
end`;
  return doBlock(body);
}
