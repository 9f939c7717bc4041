import { readdir, readFile } from 'node:fs/promises';

// src/database/migrate/ and dist/database/migrate/ lie equally deep.
const migrationsFolder = new URL('../../../migrations/', import.meta.url);
const functionsFolder = new URL('../../../sql/', import.meta.url);

/** The SQL that makes up a schema. It names no schema: the search path does. */
export interface SchemaSql {
  /** Name and text of each numbered migration, in their order. */
  migrations: [string, string][];
  /** All functions; each is created anew by every migrate. */
  functions: string;
  functionNames: string[];
  /** Of tables, types and sequences. */
  relationNames: string[];
}

export async function loadSchemaSql(): Promise<SchemaSql> {
  const migrations: [string, string][] = [];
  for (const file of await sqlFiles(migrationsFolder)) {
    migrations.push([file.replace(/\.sql$/, ''), await readFile(new URL(file, migrationsFolder), 'utf8')]);
  }
  // Helpers first: SQL functions are resolved when they are created.
  const internal = new URL('internal/', functionsFolder);
  const texts: string[] = [];
  for (const file of await sqlFiles(internal)) texts.push(await readFile(new URL(file, internal), 'utf8'));
  for (const file of await sqlFiles(functionsFolder))
    texts.push(await readFile(new URL(file, functionsFolder), 'utf8'));
  const functions = texts.join('\n');
  const tables = migrations.map(([, text]) => text).join('\n');
  return {
    migrations,
    functions,
    functionNames: namesIn(functions, /^create or replace function (\w+)/gm),
    relationNames: namesIn(tables, /^create (?:table|type|sequence) (\w+)/gm),
  };
}

async function sqlFiles(folder: URL): Promise<string[]> {
  return (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
}

function namesIn(text: string, pattern: RegExp): string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, name = '']) => name))];
}
