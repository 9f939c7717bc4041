import pg from 'pg';
import { doBlock } from './sql/do-block.js';

/**
 * Returns SQL that creates the schema unless it exists, with no rights for anybody but its owner, whatever the default
 * privileges are. If it creates the schema, it leaves a note for the rest of the transaction, see SchemaState.isNew.
 * "create schema if not exists" would require the right to create schemas even if somebody has created this one for us.
 */
export function createSchema(schema: string): string {
  const body = `
declare
  given oid;
begin
  if not exists (select from pg_namespace n where n.nspname = ${pg.escapeLiteral(schema)}) then
    begin
      create schema ${pg.escapeIdentifier(schema)};
    exception when duplicate_schema or unique_violation then
      -- Another migrator has: this one has waited for its transaction.
      return;
    end;
    perform set_config('postbus.created_schema', ${pg.escapeLiteral(schema)}, true);
    for given in
      select a.grantee from pg_namespace n cross join aclexplode(n.nspacl) a
      where n.nspname = ${pg.escapeLiteral(schema)} and a.grantee <> n.nspowner
    loop
      execute format('revoke all on schema %I from %s', ${pg.escapeLiteral(schema)}, case given when 0 then 'public' else given::regrole::text end);
    end loop;
  end if;
end`;
  return doBlock(body);
}
