import pg from 'pg';
import { errors } from '../../foundation/errors.js';
import { codedError } from '../coded-error.js';
import type { Postgres, RunStatement } from '../postgres.js';
import { brokenTriggers, mendSchema, missingRelations, schemaDamage } from './checks/damage.js';
import { explain } from './checks/explain.js';
import { raiseUnsafe, schemaFaults } from './checks/guard.js';
import { refuseNewer } from './checks/newer.js';
import { readState, recordState, type SchemaState } from './checks/state.js';
import { createSchema } from './create-schema.js';
import { completeRecords, recordsSql } from './records.js';
import { noteRights, restrictRights, takeBackDefaults } from './rights.js';
import { catalogAlone, schemaFirst, settings } from './settings.js';
import { commentOnAll } from './sql/comments.js';
import { digestOf, loadSchemaSql, type SchemaSql } from './sql/load.js';
import { lockSchema } from './sql/lock.js';

/**
 * `migratorMs`: ms that a migrator waits for another one. `tableMs`: ms that it then waits for each lock of a table
 * that a transaction of the bus holds.
 */
export interface MigrateTimeouts {
  migratorMs: number;
  tableMs: number;
}

const maxFaultsTold = 8;
const defaultTimeouts: MigrateTimeouts = { migratorMs: 60_000, tableMs: 10_000 };

export interface MigrateReport {
  /** True if the schema was up to date: nothing was written. */
  wasCurrent: boolean;
  /** Names of the migrations that were run. */
  migrations: string[];
  /** The objects that were damaged and have been mended. */
  mended: string[];
}

const nothingDone: MigrateReport = { wasCurrent: true, migrations: [], mended: [] };

/**
 * Brings the schema up to date in one transaction: tables by numbered migrations, functions by creating them anew.
 * Writes nothing and takes no lock if it is up to date. Racing migrators wait for each other. Resolves to what was
 * done.
 *
 * @throws POSTBUS_NEWER_SCHEMA if a newer postbus has migrated it; POSTBUS_UNSAFE_SCHEMA if others could run code in
 * it; POSTBUS_MIGRATION_LOCKED if another session's lock is not released in time; POSTBUS_DAMAGED_SCHEMA if it cannot
 * be mended; POSTBUS_READ_ONLY or POSTBUS_NO_PERMISSION if the schema is not up to date, and the database is read-only
 * or the role lacks the rights
 */
export async function migrate(
  transaction: Postgres['transaction'],
  schema: string,
  timeouts = defaultTimeouts,
): Promise<MigrateReport> {
  checkSchema(schema);
  const sql = await loadSchemaSql();
  let report: MigrateReport | undefined;
  try {
    // The transaction is read committed. At a higher level, a migrator that has waited for the lock might not see what
    // the other one did.
    await transaction(async (statement) => {
      report = await migrateIn(statement, schema, sql, timeouts);
    });
  } catch (error) {
    throw (await explain(error, transaction, schema)) ?? codedError(error, schema);
  }
  if (!report) throw new Error('the transaction has not run');
  return report;
}

async function migrateIn(
  statement: RunStatement,
  schema: string,
  sql: SchemaSql,
  timeouts: MigrateTimeouts,
): Promise<MigrateReport> {
  await statement(settings(timeouts.migratorMs));
  await checkEncoding(statement);
  let state = await readState(statement, schema, sql);
  refuseNewer(state, schema, sql);
  if (state.owner === null) {
    refuseReadOnly(state, schema);
    await refuseWithoutCreate(statement, schema, state);
    await statement(createSchema(schema));
    state = await readState(statement, schema, sql);
  }
  if (!state.isNew && (await hasNothingToDo(statement, schema, sql, state))) return nothingDone;
  // Imported only here, because it loads Kysely: most processes find nothing to do, and start in half the time without
  // it.
  const { migrateTables } = await import('./tables.js');
  await statement(noteRights(schema));
  await statement(lockSchema(schema));
  if (!state.isNew) {
    state = await readState(statement, schema, sql);
    if (await isCurrent(statement, schema, sql, state)) return nothingDone;
  }
  await statement(`set local lock_timeout = ${timeouts.tableMs}`);
  const mended = await completeRecords(statement, schema, sql, state);
  const broken = state.hasBus ? await brokenTriggers(statement, schema) : [];
  await statement(schemaFirst(schema));
  const migrations = await migrateTables(statement, schema, sql);
  if (state.hasBus) await refuseMissing(statement, schema, sql);
  await statement(sql.functions);
  mended.push(...broken.map((trigger) => `the trigger ${trigger}`));
  if (state.hasBus) mended.push(...(await mendSchema(statement, broken.length > 0)));
  await statement(catalogAlone);
  await statement(commentOnAll(schema, sql.comments));
  await statement(recordState(schema, sql));
  await statement(restrictRights(schema, sql));
  return { wasCurrent: false, migrations, mended };
}

/**
 * Checks a schema that existed before, without a lock. Resolves to true if it is up to date; rejects if it must not be
 * migrated.
 */
async function hasNothingToDo(
  statement: RunStatement,
  schema: string,
  sql: SchemaSql,
  state: SchemaState,
): Promise<boolean> {
  if (state.hasBus && state.owner !== state.role && !state.isSuperuser) {
    // This role uses the bus and does not own it: it has to trust the owner, and can mend nothing.
    if (state.record?.digest === digestOf(sql, schema)) return true;
    throw new errors.NO_PERMISSION(
      `the schema "${schema}" is not up to date, and only its owner, ${state.owner}, may migrate it`,
    );
  }
  // Objects that another superuser creates would belong to that one, and the bus needs all of them to have one owner.
  if (state.owner !== null && state.isSuperuser && state.isOwnerSuperuser)
    await statement(`set local role ${pg.escapeIdentifier(state.owner)}`);
  await refuseUnsafe(statement, schema, sql);
  if (await isCurrent(statement, schema, sql, state)) return true;
  refuseReadOnly(state, schema);
  if (state.hasBus && state.record === null) await statement(takeBackDefaults(schema, sql));
  return false;
}

/** Resolves to true if the schema is of this version, and unchanged since the last migrator. */
async function isCurrent(
  statement: RunStatement,
  schema: string,
  sql: SchemaSql,
  { record, functions, isOpen }: SchemaState,
): Promise<boolean> {
  if (record?.digest !== digestOf(sql, schema) || record.functions !== functions || isOpen) return false;
  return (await schemaDamage(statement, schema)).length === 0;
}

/**
 * Checks the right to create schemas, for a new schema only. On many hosts, the application's role may not create
 * schemas in the database: then the owner of the database has to.
 */
async function refuseWithoutCreate(statement: RunStatement, schema: string, { role }: SchemaState): Promise<void> {
  const [row] = await statement<{ may: boolean }>(`select has_database_privilege(current_database(), 'CREATE') as may`);
  if (row?.may) return;
  const [name, owner] = [pg.escapeIdentifier(schema), pg.escapeIdentifier(role)];
  throw new errors.NO_PERMISSION(
    `${owner} may not create schemas in this database. Let the owner of the database run: create schema ${name} authorization ${owner}; then migrate again`,
  );
}

function refuseReadOnly({ isReadOnly }: SchemaState, schema: string): void {
  if (isReadOnly) throw new errors.READ_ONLY(`the schema "${schema}" is not up to date and cannot be migrated here`);
}

async function refuseMissing(statement: RunStatement, schema: string, sql: SchemaSql): Promise<void> {
  const missing = await missingRelations(statement, schema, sql);
  if (missing.length > 0) throw new errors.DAMAGED_SCHEMA(schema, `missing: ${missing.join(', ')}`);
}

async function refuseUnsafe(statement: RunStatement, schema: string, sql: SchemaSql): Promise<void> {
  const faults = await statement<{ fault: string }>(schemaFaults(schema, sql));
  if (faults.length === 0) return;
  const told = faults.slice(0, maxFaultsTold).map(({ fault }) => fault);
  if (faults.length > told.length) told.push(`and ${faults.length - told.length} more`);
  throw new errors.UNSAFE_SCHEMA(schema, told.join('; '));
}

/**
 * Refuses an encoding other than UTF8. Channels and data may be any Unicode: in another encoding, a message of one
 * client could not be read, nor those that are read with it.
 */
async function checkEncoding(statement: RunStatement): Promise<void> {
  const [row] = await statement<{ server_encoding: string }>('show server_encoding');
  const encoding = row?.server_encoding ?? '';
  if (encoding !== 'UTF8') throw new errors.NOT_UTF8(encoding);
}

/** Resolves to the whole SQL, to be applied to a new database by hand. @throws POSTBUS_BAD_OPTION */
export async function printMigration(schema: string): Promise<string> {
  checkSchema(schema);
  const sql = await loadSchemaSql();
  return [
    'begin;',
    settings(defaultTimeouts.migratorMs),
    createSchema(schema),
    raiseUnsafe(schema, sql),
    noteRights(schema),
    schemaFirst(schema),
    ...sql.migrations.map(([, text]) => text),
    recordsSql(sql),
    sql.functions,
    catalogAlone,
    commentOnAll(schema, sql.comments),
    recordState(schema, sql),
    restrictRights(schema, sql),
    'commit;',
    '',
  ].join('\n');
}

/**
 * Checks the name of a schema: Postgres would truncate a longer one, and "$user" in a search path means the user's
 * name, quoted or not.
 *
 * @throws POSTBUS_BAD_OPTION
 */
export function checkSchema(schema: string): void {
  if (typeof schema !== 'string' || schema === '' || Buffer.byteLength(schema) > 63 || schema.includes('\0')) {
    throw new errors.BAD_OPTION('schema', 'must be the name of a Postgres schema, of 1 to 63 bytes');
  }
  if (schema === '$user') throw new errors.BAD_OPTION('schema', 'cannot be "$user", which stands for another name');
}
