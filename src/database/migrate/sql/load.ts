import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import pg from 'pg';
import { type Comment, functionComments, writtenComments } from './comments.js';

/** A function whose text tells which version has migrated the schema: every role can read that, and every dump has it. */
export const recordFunction = 'migrated_by';

// Kysely's own names for its records, in our schema.
export const migrationTable = 'schema_migration';
export const migrationLockTable = 'schema_migration_lock';

// src/ and dist/ lie equally deep.
const migrationsFolder = new URL('../../../../migrations/', import.meta.url);
const sqlFolder = new URL('../../../../sql/', import.meta.url);

/** The SQL that makes up a schema. It names no schema: the search path does. */
export interface SchemaSql {
  /** Name and text of each numbered migration, in their order. */
  migrations: [string, string][];
  /** All functions; each is created anew by every migrate that finds the schema out of date. */
  functions: string;
  /** Of these, and of the record that a migrator leaves. */
  functionNames: string[];
  /** Of these, those that applications call; the others are internal, and another version may do without them. */
  publicFunctionNames: string[];
  /** Of tables, types and sequences. */
  relationNames: string[];
  comments: Comment[];
  /** Of the package. */
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
  // Helpers first: SQL functions are resolved when they are created.
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

/** What tells the SQL of one version in one schema from that of another. */
export function digestOf({ migrations, functions, comments }: SchemaSql, schema: string): string {
  const text = JSON.stringify([schema, migrations.map(([name]) => name), functions, comments]);
  return createHash('sha256').update(text).digest('hex');
}

/** Names as an array in SQL. */
export function namesLiteral(names: readonly string[]): string {
  return `${pg.escapeLiteral(`{${names.join(',')}}`)}::name[]`;
}

async function sqlFiles(folder: URL): Promise<string[]> {
  return (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
}

/** Path and text of the files of all rooms, by their names: those that others need come first in the alphabet. */
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

/** The names of the tables, types and sequences that are left at the end of these statements. */
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
