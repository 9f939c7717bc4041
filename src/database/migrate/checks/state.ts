import pg from 'pg';
import type { RunStatement } from '../../postgres.js';
import { doBlock } from '../sql/do-block.js';
import { digestOf, migrationTable, namesLiteral, recordFunction, type SchemaSql } from '../sql/load.js';

interface MigrationRecord {
  /** The last migration that was run. */
  migration: string;
  /** Of the package; 0 if it was one that did not note it. */
  version: string;
  digest: string;
  /** A digest of the functions as they were then. */
  functions: string;
}

export interface SchemaState {
  role: string;
  isSuperuser: boolean;
  /** Whether this transaction has created it: nobody else can have put anything there, nor be migrating it. */
  isNew: boolean;
  /** Whether a bus was ever migrated in it. */
  hasBus: boolean;
  /** Of the bus, or else of the schema; null if there is neither. */
  owner: string | null;
  isOwnerSuperuser: boolean;
  isReadOnly: boolean;
  /** What the last migrator has left; null if it was none, or an older one. */
  record: MigrationRecord | null;
  /** A digest of the functions as they are. */
  functions: string | null;
  /** Whether something that has never had an ACL is open to everybody. */
  isOpen: boolean;
}

/** The state of the schema, from catalogs alone, which every role may read. */
export async function readState(
  statement: RunStatement,
  schema: string,
  { functionNames, relationNames }: SchemaSql,
): Promise<SchemaState> {
  const [state] = await statement<Omit<SchemaState, 'record'> & { record: string | null }>(`
with ours as (
  select n.oid, n.nspowner from pg_namespace n where n.nspname = ${pg.escapeLiteral(schema)}
), bus as (
  select c.relowner as owner from pg_class c join ours on ours.oid = c.relnamespace where c.relname = '${migrationTable}'
), owner as (
  select r.rolname, r.rolsuper from pg_roles r where r.oid = coalesce((select b.owner from bus b), (select o.nspowner from ours o))
)
select current_user::text as role, me.rolsuper as "isSuperuser", coalesce(current_setting('postbus.created_schema', true), '') = ${pg.escapeLiteral(schema)} as "isNew", exists (select from bus) as "hasBus",
  (select o.rolname::text from owner o) as owner, coalesce((select o.rolsuper from owner o), false) as "isOwnerSuperuser",
  current_setting('transaction_read_only') = 'on' as "isReadOnly",
  (select p.prosrc from pg_proc p join ours on ours.oid = p.pronamespace where p.proname = '${recordFunction}' limit 1) as record,
  ${functionsDigest(schema, functionNames)} as functions,
  exists (
    select from pg_proc p join ours on ours.oid = p.pronamespace where p.proacl is null and p.proname = any (${namesLiteral(functionNames)})
    union all
    select from pg_type t join ours on ours.oid = t.typnamespace where t.typacl is null and t.typname = any (${namesLiteral(relationNames)})
  ) as "isOpen"
from pg_roles me where me.rolname = current_user`);
  if (!state) throw new Error('Postgres does not tell who this is');
  return { ...state, record: readRecord(state.record) };
}

/** Leaves the record of who has migrated the schema, for the next one to read. */
export function recordState(schema: string, sql: SchemaSql): string {
  const record = { migration: sql.migrations.at(-1)?.[0], version: sql.version, digest: digestOf(sql, schema) };
  const body = `
begin
  execute format('create or replace function %I.${recordFunction}() returns jsonb language sql immutable as %L', ${pg.escapeLiteral(schema)},
    format('select %L::jsonb', ${pg.escapeLiteral(JSON.stringify(record))}::jsonb || jsonb_build_object('functions', ${functionsDigest(schema, sql.functionNames)})));
end`;
  return doBlock(body);
}

/** Whoever owns the schema may have written anything there. */
function readRecord(source: string | null): MigrationRecord | null {
  try {
    const { migration, version = '0', digest, functions } = JSON.parse(/\{.*\}/.exec(source ?? '')?.[0] ?? '{}');
    if (typeof migration !== 'string') return null;
    return { migration, version: String(version), digest: String(digest), functions: String(functions) };
  } catch {
    return null;
  }
}

function functionsDigest(schema: string, functionNames: string[]): string {
  return `(
    select md5(string_agg(pg_get_functiondef(p.oid), '' order by p.oid::regprocedure::text collate "C")) from pg_proc p
    where p.pronamespace = (select n.oid from pg_namespace n where n.nspname = ${pg.escapeLiteral(schema)})
      and p.prokind = 'f' and p.proname <> '${recordFunction}' and p.proname = any (${namesLiteral(functionNames)})
  )`;
}
