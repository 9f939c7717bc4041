import { readdir, readFile } from 'node:fs/promises';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  Migrator,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from 'kysely';
import pg from 'pg';
import { errors } from '../errors.js';
import { codedError } from './coded-error.js';
import type { Postgres, RunStatement } from './postgres.js';

// src/database/ and dist/database/ lie equally deep.
const migrationsFolder = new URL('../../migrations/', import.meta.url);
const functionsFolder = new URL('../../sql/', import.meta.url);

// Kysely's own names for its records, in our schema.
const migrationTable = 'schema_migration';
const migrationLockTable = 'schema_migration_lock';

/**
 * Brings the schema up to date: tables by numbered migrations, functions anew each time, all in one transaction.
 * Racing migrators wait for each other.
 *
 * @throws POSTBUS_NEWER_SCHEMA when a newer postbus has migrated it; POSTBUS_NO_PERMISSION when the role may not.
 */
export async function migrate(transaction: Postgres['transaction'], schema: string): Promise<void> {
  checkSchema(schema);
  const { files, functions } = await load();
  try {
    // Read committed: otherwise those who wait for the lock might not see what was done meanwhile.
    await transaction(async (statement) => {
      await statement('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`postbus migrate ${schema}`]);
      await checkEncoding(statement);
      await createSchema(statement, schema);
      await statement(preamble(schema));
      await migrateTables(statement, schema, files);
      await statement(functions);
      await statement(lockDown);
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

/** "if not exists" would ask for the right to create schemas even where somebody has made this one for us. */
async function createSchema(statement: RunStatement, schema: string): Promise<void> {
  const rows = await statement('select from pg_namespace where nspname = $1', [schema]);
  if (rows.length === 0) await statement(`create schema ${pg.escapeIdentifier(schema)}`);
}

/**
 * The lock of the schema is held already. Kysely's own is one for the whole database and held by the session: it would
 * wait for an application's migration that calls this one, and fail to be released after an error, hiding that.
 */
class UnlockedAdapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}

/** Kysely on a transaction that is open. */
function dialectOf(statement: RunStatement): Dialect {
  const connection: DatabaseConnection = {
    executeQuery: async <Row>({ sql, parameters }: CompiledQuery) => ({ rows: await statement<Row>(sql, parameters) }),
    streamQuery: () => {
      throw new Error('migrations stream nothing');
    },
  };
  const driver: Driver = {
    init: async () => {},
    acquireConnection: async () => connection,
    beginTransaction: async () => {},
    commitTransaction: async () => {},
    rollbackTransaction: async () => {},
    releaseConnection: async () => {},
    destroy: async () => {},
  };
  return {
    createAdapter: () => new UnlockedAdapter(),
    createDriver: () => driver,
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  };
}

/** Runs what is new. */
async function migrateTables(statement: RunStatement, schema: string, files: [string, string][]): Promise<void> {
  const db = new Kysely<Record<string, never>>({ dialect: dialectOf(statement) });
  const up = (text: string) => async (db: Kysely<unknown>) => {
    await db.executeQuery(CompiledQuery.raw(text));
  };
  const migrations = Object.fromEntries(files.map(([name, text]) => [name, { up: up(text) }]));
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    migrationTableName: migrationTable,
    migrationLockTableName: migrationLockTable,
    migrationTableSchema: schema,
    disableTransactions: true,
  });
  const { error } = await migrator.migrateToLatest();
  if (error) throw newerSchema(error, schema) ?? error;
}

/** The whole SQL, for those who apply it by hand to a new database. */
export async function printMigration(schema: string): Promise<string> {
  checkSchema(schema);
  const { files, functions } = await load();
  const records = `
create table ${migrationTable} (name varchar(255) not null primary key, timestamp varchar(255) not null);
create table ${migrationLockTable} (id varchar(255) not null primary key, is_locked integer not null default 0);
insert into ${migrationLockTable} values ('migration_lock', 0);
insert into ${migrationTable} values
${files.map(([name]) => `  (${pg.escapeLiteral(name)}, to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))`).join(',\n')};
`;
  return [
    'begin;',
    `create schema if not exists ${pg.escapeIdentifier(schema)};`,
    preamble(schema),
    ...files.map(([, text]) => text),
    records,
    functions,
    lockDown,
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
// It also notes which functions are there already, for the last step.
function preamble(schema: string): string {
  return `
set local search_path = ${pg.escapeIdentifier(schema)}, pg_temp;
set local check_function_bodies = off;
set local client_min_messages = warning;
do $$
begin
  perform set_config('postbus.functions', array(
    select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = current_schema()
  )::text, true);
end
$$;
`;
}

// Functions can be called by everyone unless one says otherwise. Only new ones are touched: a grant to public that
// an operator has made later stays.
const lockDown = `
do $$
declare
  f regprocedure;
begin
  for f in
    select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = current_schema() and p.oid <> all (current_setting('postbus.functions')::oid[])
  loop
    execute format('revoke execute on function %s from public', f);
  end loop;
end
$$;
`;

// Kysely tells of a migration that it has a record but no file of in words alone.
function newerSchema(error: unknown, schema: string): Error | undefined {
  const missing = error instanceof Error && /previously executed migration (\S+) is missing/.exec(error.message);
  return missing ? new errors.NEWER_SCHEMA(schema, missing[1] ?? '') : undefined;
}

async function load(): Promise<{ files: [string, string][]; functions: string }> {
  const files: [string, string][] = [];
  for (const file of await sqlFiles(migrationsFolder)) {
    files.push([file.replace(/\.sql$/, ''), await readFile(new URL(file, migrationsFolder), 'utf8')]);
  }
  // Helpers first: SQL functions are resolved when they are created.
  const internal = new URL('internal/', functionsFolder);
  const texts: string[] = [];
  for (const file of await sqlFiles(internal)) texts.push(await readFile(new URL(file, internal), 'utf8'));
  for (const file of await sqlFiles(functionsFolder))
    texts.push(await readFile(new URL(file, functionsFolder), 'utf8'));
  return { files, functions: texts.join('\n') };
}

async function sqlFiles(folder: URL): Promise<string[]> {
  return (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
}
