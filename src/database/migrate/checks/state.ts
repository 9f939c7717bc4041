import pg from 'pg';
import type { RunStatement } from '../../postgres.js';
import { doBlock } from '../sql/do-block.js';
import { digestOf, migrationTable, namesLiteral, recordFunction, type SchemaSql } from '../sql/load.js';

interface MigrationRecord {
  /** Name of the last migration that was run. */
  migration: string;
  /** Version of the package that migrated; 0 if that version did not record it. */
  version: string;
  digest: string;
  /** Digest of the functions after that migrate. */
  functions: string;
}

export interface SchemaState {
  role: string;
  isSuperuser: boolean;
  /** True if this transaction has created the schema: nobody else can have put anything there, or be migrating it. */
  isNew: boolean;
  /** True if a bus has ever been migrated in the schema. */
  hasBus: boolean;
  /** Owner of the bus, or else of the schema; null if there is neither. */
  owner: string | null;
  isOwnerSuperuser: boolean;
  isReadOnly: boolean;
  /** The record of the last migrator; null if there was none, or one that left no record. */
  record: MigrationRecord | null;
  /** Digest of the functions now. */
  functions: string | null;
  /** True if a function or type that has never had an ACL is open to everybody. */
  isOpen: boolean;
}

/** Resolves to the state of the schema. Reads catalogs alone, which every role may read. */
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

/** Returns SQL that records which version has migrated the schema, for the next migrate to read. */
export function recordState(schema: string, sql: SchemaSql): string {
  const record = { migration: sql.migrations.at(-1)?.[0], version: sql.version, digest: digestOf(sql, schema) };
  const body = `
begin
  execute format('create or replace function %I.${recordFunction}() returns jsonb language sql immutable as %L', ${pg.escapeLiteral(schema)},
    format('select %L::jsonb', ${pg.escapeLiteral(JSON.stringify(record))}::jsonb || jsonb_build_object('functions', ${functionsDigest(schema, sql.functionNames)})));
end`;
  return doBlock(body);
}

/** Parses the record. The owner of the schema may have written anything there. */
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
