import { readdir, readFile } from 'node:fs/promises';
import { CompiledQuery, Kysely, type Migration, Migrator, PostgresDialect } from 'kysely';
import pg from 'pg';
import { errors } from '../errors.js';
import { codedError } from './coded-error.js';

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
export async function migrate(pool: pg.Pool, schema: string): Promise<void> {
  const { files, functions } = await load();
  let client: pg.PoolClient | undefined;
  try {
    client = await pool.connect();
    await client.query('begin');
    await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`postbus migrate ${schema}`]);
    await client.query(preamble(schema));
    await migrateTables(client, schema, files);
    await client.query(functions);
    await client.query(lockDown(schema));
    await client.query('commit');
    client.release();
  } catch (error) {
    // Ends the connection, and with it the transaction.
    client?.release(true);
    throw codedError(error, schema);
  }
}

/** Runs what is new, in the transaction that the client has open. */
async function migrateTables(client: pg.PoolClient, schema: string, files: [string, string][]): Promise<void> {
  // Kysely gives the client back after each query; it is the caller's.
  const { release } = client;
  client.release = () => {};
  const pool = { connect: async () => client, end: async () => {} };
  const db = new Kysely<Record<string, never>>({ dialect: new PostgresDialect({ pool }) });
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations(files) },
    migrationTableName: migrationTable,
    migrationLockTableName: migrationLockTable,
    migrationTableSchema: schema,
    disableTransactions: true,
  });
  const { error } = await migrator.migrateToLatest();
  client.release = release;
  if (error) throw newerSchema(error, schema) ?? error;
}

/** The whole SQL, for those who apply it by hand to a new database. */
export async function printMigration(schema: string): Promise<string> {
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
    preamble(schema),
    ...files.map(([, text]) => text),
    records,
    functions,
    lockDown(schema),
    'commit;',
    '',
  ].join('\n');
}

// The files name no schema: the search path does, and each function keeps it ("set search_path from current").
function preamble(schema: string): string {
  const name = pg.escapeIdentifier(schema);
  return `create schema if not exists ${name};\nset local search_path = ${name}, pg_temp;\nset local check_function_bodies = off;\nset local client_min_messages = warning;\n`;
}

// Functions can be called by everyone unless one says otherwise. Only those that nobody has granted yet are
// touched: a grant to public that an operator has made stays.
function lockDown(schema: string): string {
  return `
do $$
declare
  f regprocedure;
begin
  for f in
    select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = ${pg.escapeLiteral(schema)} and p.proacl is null
  loop
    execute format('revoke execute on function %s from public', f);
  end loop;
end
$$;
`;
}

function migrations(files: [string, string][]): Record<string, Migration> {
  return Object.fromEntries(
    files.map(([name, text]) => [name, { up: async (db) => void (await db.executeQuery(CompiledQuery.raw(text))) }]),
  );
}

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
