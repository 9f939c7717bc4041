import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { Test } from 'tap';
import type { TestDatabase } from './database.js';
import { blocksOf, readPage } from './documentation.js';
import { createRole } from './role.js';

export const documentedRoles = ['publisher', 'reader', 'node', 'table_owner'] as const;
export type DocumentedRole = (typeof documentedRoles)[number];

/** The script of docs/roles.md. */
async function readScript(): Promise<string> {
  return blocksOf(await readPage('docs/roles.md')).find(({ language }) => language === 'sql')?.text ?? '';
}

/** The functions that it grants to a role. */
export async function documentedFunctions(role: DocumentedRole): Promise<string[]> {
  const grants = [...(await readScript()).matchAll(/^grant execute on function ([^;]+?)\s+to (\w+);$/gm)];
  const names = grants.find(([, , to]) => to === `message_bus_${role}`)?.[1];
  if (!names) throw new Error(`docs/roles.md grants nothing to ${role}`);
  return names.split(/,\s*/).map((name) => `message_bus.${name}`);
}

/**
 * Runs it for a schema, with roles of the test's own in place of those that it names. Resolves to addresses under which
 * members of each log in.
 */
export async function runRolesScript(
  t: Test,
  database: TestDatabase,
  schema: string,
): Promise<Record<DocumentedRole, { role: string; url: string }>> {
  const prefix = `roles_${randomBytes(8).toString('hex')}`;
  const script = (await readScript())
    .replace('search_path = message_bus;', `search_path = ${pg.escapeIdentifier(schema)};`)
    .replace(/\bmessage_bus_(?=[a-z])/g, `${prefix}_`);
  t.teardown(async () => {
    for (const role of documentedRoles)
      await database.query(`drop owned by ${prefix}_${role}; drop role ${prefix}_${role}`);
  });
  // As after the next version.
  await database.query(script);
  await database.query(script);
  const join = async (name: DocumentedRole) => {
    const member = await createRole(t, database);
    await database.query(`grant ${prefix}_${name} to ${member.role}`);
    return member;
  };
  return {
    publisher: await join('publisher'),
    reader: await join('reader'),
    node: await join('node'),
    table_owner: await join('table_owner'),
  };
}
