import pg from 'pg';
import { errors } from '../errors.js';
import { codedError } from './coded-error.js';
import { createSchema } from './migrate/create-schema.js';
import { loadSchemaSql } from './migrate/load.js';
import { migrateTables, recordsSql } from './migrate/records.js';
import { noteRights, restrictRights } from './migrate/rights.js';
import type { Postgres, RunStatement } from './postgres.js';

/**
 * Brings the schema up to date: tables by numbered migrations, functions anew each time, all in one transaction.
 * Racing migrators wait for each other.
 *
 * @throws POSTBUS_NEWER_SCHEMA when a newer postbus has migrated it; POSTBUS_NO_PERMISSION when the role may not.
 */
export async function migrate(transaction: Postgres['transaction'], schema: string): Promise<void> {
  checkSchema(schema);
  const sql = await loadSchemaSql();
  try {
    // Read committed: otherwise those who wait for the lock might not see what was done meanwhile.
    await transaction(async (statement) => {
      await statement('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`postbus migrate ${schema}`]);
      await checkEncoding(statement);
      await statement(createSchema(schema));
      await statement(settings(schema));
      await statement(noteRights);
      await migrateTables(statement, schema, sql);
      await statement(sql.functions);
      await statement(restrictRights);
    });
  } catch (error) {
    throw codedError(error, schema);
  }
}

/** Channels and data are any Unicode; in another encoding, one client's could not be read, nor what is read with it. */
async function checkEncoding(statement: RunStatement): Promise<void> {
  const [row] = await statement<{ server_encoding: string }>('show server_encoding');
  const encoding = row?.server_encoding ?? '';
  if (encoding !== 'UTF8') throw new errors.NOT_UTF8(encoding);
}

/** The whole SQL, for those who apply it by hand to a new database. */
export async function printMigration(schema: string): Promise<string> {
  checkSchema(schema);
  const sql = await loadSchemaSql();
  return [
    'begin;',
    createSchema(schema),
    settings(schema),
    noteRights,
    ...sql.migrations.map(([, text]) => text),
    recordsSql(sql),
    sql.functions,
    restrictRights,
    'commit;',
    '',
  ].join('\n');
}

/** Postgres would cut a longer name; "$user" means the user's name in a search path, quoted or not. @throws POSTBUS_BAD_OPTION */
export function checkSchema(schema: string): void {
  if (schema === '' || Buffer.byteLength(schema) > 63 || schema.includes('\0')) {
    throw new errors.BAD_OPTION('schema', 'must be the name of a Postgres schema, of 1 to 63 bytes');
  }
  if (schema === '$user') throw new errors.BAD_OPTION('schema', 'cannot be "$user", which stands for another name');
}

// The files name no schema: the search path does, and each function keeps it ("set search_path from current").
function settings(schema: string): string {
  return `
set local search_path = ${pg.escapeIdentifier(schema)}, pg_temp;
set local check_function_bodies = off;
set local client_min_messages = warning;
`;
}
