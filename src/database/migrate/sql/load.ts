import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import pg from 'pg';
import { type Comment, functionComments, writtenComments } from './comments.js';

/**
 * The function whose text records which version has migrated the schema: every role can read that text, and every dump
 * has it.
 */
export const recordFunction = 'migrated_by';

// The tables in our schema in which Kysely records migrations.
export const migrationTable = 'schema_migration';
export const migrationLockTable = 'schema_migration_lock';

// These paths hold for src/ and dist/, which are equally deep.
const migrationsFolder = new URL('../../../../migrations/', import.meta.url);
const sqlFolder = new URL('../../../../sql/', import.meta.url);

/** The SQL that makes up a schema. It names no schema; the search path determines it. */
export interface SchemaSql {
  /** Name and text of each numbered migration, in their order. */
  migrations: [string, string][];
  /** The SQL of all functions. A migrate that finds the schema out of date creates each of them anew. */
  functions: string;
  /** Names of these functions, and of the one that records the migrator. */
  functionNames: string[];
  /** Names of the functions that applications call. The others are internal, and another version may lack them. */
  publicFunctionNames: string[];
  /** Names of the tables, types and sequences. */
  relationNames: string[];
  comments: Comment[];
  /** Version of the package. */
  version: string;
}

export async function loadSchemaSql(): Promise<SchemaSql> {
  const migrations: [string, string][] = [];
  for (const file of await sqlFiles(migrationsFolder)) {
    migrations.push([file.replace(/\.sql$/, ''), await readFile(new URL(file, migrationsFolder), 'utf8')]);
  }
  const files = await allFiles();
  const isIn = (folder: string, [path]: [string, string]) => path.split(/[\\/]/).includes(folder);
  const functionFiles = files.filter((file) => !isIn('comments', file));
  const publicFunctions = functionFiles.filter((file) => !isIn('internal', file)).map(([, text]) => text);
  // Internal functions first, because Postgres resolves the functions that an SQL function calls when it creates that.
  const internal = functionFiles.filter((file) => isIn('internal', file)).map(([, text]) => text);
  const functions = [...internal, ...publicFunctions].join('\n');
  const comments = files.filter((file) => isIn('comments', file)).map(([, text]) => text);
  return {
    migrations,
    functions,
    functionNames: [...functionsOf(functions), recordFunction],
    publicFunctionNames: functionsOf(publicFunctions.join('\n')),
    comments: [...writtenComments(comments.join('\n')), ...functionComments(functions)],
    version: await packageVersion(),
    relationNames: [...relationsOf(migrations.map(([, text]) => text).join('\n')), migrationTable, migrationLockTable],
  };
}

async function packageVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(new URL('../../../../package.json', import.meta.url), 'utf8'));
  return String(version);
}

/** Returns a digest that differs between versions of the SQL, and between schemas. */
export function digestOf({ migrations, functions, comments }: SchemaSql, schema: string): string {
  const text = JSON.stringify([schema, migrations.map(([name]) => name), functions, comments]);
  return createHash('sha256').update(text).digest('hex');
}

/** Returns names as an array literal of SQL. */
export function namesLiteral(names: readonly string[]): string {
  return `${pg.escapeLiteral(`{${names.join(',')}}`)}::name[]`;
}

async function sqlFiles(folder: URL): Promise<string[]> {
  return (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
}

/**
 * Returns path and text of all files under sql/, sorted by file name: functions that others need have names that come
 * first in the alphabet.
 */
async function allFiles(): Promise<[string, string][]> {
  const paths = (await readdir(sqlFolder, { recursive: true })).filter((path) => path.endsWith('.sql'));
  paths.sort((one, other) => (basename(one) < basename(other) ? -1 : 1));
  return Promise.all(
    paths.map(async (path): Promise<[string, string]> => [path, await readFile(new URL(path, sqlFolder), 'utf8')]),
  );
}

function functionsOf(statements: string): string[] {
  return [...new Set([...statements.matchAll(/^create or replace function (\w+)/gm)].map(([, name = '']) => name))];
}

/** Returns the names of the tables, types and sequences that exist after these statements. */
function relationsOf(statements: string): string[] {
  const names = new Set<string>();
  const steps = statements.matchAll(
    /^(create|drop) (?:table|type|sequence) (?:if exists )?(\w+)|^alter table (\w+) rename to (\w+)/gm,
  );
  for (const [, verb, name = '', from = '', to = ''] of steps) {
    if (verb === 'create') names.add(name);
    else if (verb === 'drop') names.delete(name);
    else if (names.delete(from)) names.add(to);
  }
  return [...names];
}
