import pg from 'pg';
import { doBlock } from './do-block.js';
import { migrationLockTable } from './load.js';

/**
 * Returns SQL that lets one migrator at a time work, until the transaction ends. It locks a table, because only roles
 * with rights to the table can lock it, and nobody but its owner has any. An advisory lock could be taken by every role
 * that may connect.
 */
export function lockSchema(schema: string): string {
  const name = pg.escapeLiteral(schema);
  const table = `${pg.escapeIdentifier(schema)}.${migrationLockTable}`;
  const create = `
begin
  if not exists (
    select from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = ${name} and c.relname = '${migrationLockTable}'
  ) then
    -- As Kysely makes it.
    create table ${table} (id varchar(255) not null primary key, is_locked integer not null default 0);
  end if;
exception when duplicate_table or unique_violation then
  null; -- Another migrator has created it: this one has waited for its transaction.
end`;
  // In this lock mode, backups can still read the table.
  return `${doBlock(create)}lock table ${table} in share update exclusive mode;\n`;
}

/**
 * Returns a query for the sessions that hold a lock of anything in the schema, at most five; the longest transaction
 * comes first.
 */
export function lockHolders(schema: string): string {
  return `
select a.pid, a.usename::text as role from pg_stat_activity a
where a.pid <> pg_backend_pid() and a.pid in (
  select l.pid from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = ${pg.escapeLiteral(schema)} and l.granted
    and l.database = (select d.oid from pg_database d where d.datname = current_database())
)
order by a.xact_start, a.pid limit 5`;
}
