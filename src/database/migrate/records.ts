import pg from 'pg';
import { errors } from '../../foundation/errors.js';
import type { RunStatement } from '../postgres.js';
import type { SchemaState } from './checks/state.js';
import { migrationLockTable, migrationTable, type SchemaSql } from './sql/load.js';

/** Returns SQL that creates the tables of the records like Kysely does, with a record of each migration. */
export function recordsSql({ migrations }: SchemaSql): string {
  return `
create table ${migrationTable} (name varchar(255) not null primary key, timestamp varchar(255) not null);
create table ${migrationLockTable} (id varchar(255) not null primary key, is_locked integer not null default 0);
insert into ${migrationLockTable} values ('migration_lock', 0);
insert into ${migrationTable} values
${recordRows(migrations.map(([name]) => name))};
`;
}

function recordRows(names: string[]): string {
  const now = `to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
  return names.map((name) => `  (${pg.escapeLiteral(name)}, ${now})`).join(',\n');
}

/** Last migration of the only version that recorded itself only in the rows of the table. */
const lastWithoutRecord = '0005_global_ids';

/**
 * Writes the records of a schema that has the tables, but whose records are gone, because it comes from a dump without
 * data, such as Rails' `structure.sql`. The function of the last migrator tells which migrations were run. Resolves to
 * what was mended.
 *
 * @throws POSTBUS_NEWER_SCHEMA if that is a migration that is unknown here
 */
export async function completeRecords(
  statement: RunStatement,
  schema: string,
  { migrations }: SchemaSql,
  { hasBus, record }: SchemaState,
): Promise<string[]> {
  if (!hasBus) return [];
  const table = `${pg.escapeIdentifier(schema)}.${migrationTable}`;
  const [row] = await statement<{ isDump: boolean }>(
    `select not exists (select from ${table}) and exists (
      select from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = 'settings'
    ) as "isDump"`,
    [schema],
  );
  if (!row?.isDump) return [];
  const last = record?.migration ?? lastWithoutRecord;
  const names = migrations.map(([name]) => name);
  const count = names.indexOf(last) + 1;
  if (count === 0) throw new errors.NEWER_SCHEMA(schema, last);
  await statement(`insert into ${table} values\n${recordRows(names.slice(0, count))}`);
  return ['the records of the migrations'];
}
