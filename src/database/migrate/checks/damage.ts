import pg from 'pg';
import type { RunStatement } from '../../postgres.js';
import { namesLiteral, type SchemaSql } from '../sql/load.js';

// Triggers, and their tables. Without them, messages are published and not announced.
const triggers = { announce: 'messages', publish_outbox: 'outbox' };

/**
 * Resolves to the names of the triggers that are missing although their table exists, or do not fire for every session.
 */
export async function brokenTriggers(statement: RunStatement, schema: string): Promise<string[]> {
  const broken: string[] = [];
  for (const [trigger, table] of Object.entries(triggers)) {
    const rows = await statement<{ enabled: string | null }>(
      `select g.tgenabled::text as enabled from pg_class c join pg_namespace n on n.oid = c.relnamespace
      left join pg_trigger g on g.tgrelid = c.oid and g.tgname = $1 where c.relname = $2 and n.nspname = $3`,
      [trigger, table, schema],
    );
    if (rows[0] && rows[0].enabled !== 'A') broken.push(trigger);
  }
  return broken;
}

/**
 * Resolves to the names of the tables, types and sequences that the migrations have created and somebody has dropped.
 */
export async function missingRelations(
  statement: RunStatement,
  schema: string,
  { relationNames }: SchemaSql,
): Promise<string[]> {
  const rows = await statement<{ name: string }>(
    `select u.name::text from unnest(${namesLiteral(relationNames)}) u(name)
    where not exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relname = u.name and n.nspname = $1)
    order by 1`,
    [schema],
  );
  return rows.map(({ name }) => name);
}

/** Resolves to the damage that schema_damage() finds. The schema must have that function, and be known to be safe. */
export async function schemaDamage(statement: RunStatement, schema: string): Promise<string[]> {
  const [row] = await statement<{ damage: string[] }>(
    `select ${pg.escapeIdentifier(schema)}.schema_damage() as damage`,
  );
  return row?.damage ?? [];
}

/**
 * Mends the damage, by mend_schema(); resolves to what was mended. The schema must be in the search path.
 * `areStranded`: a trigger was broken, so there may be messages that were never announced.
 */
export async function mendSchema(statement: RunStatement, areStranded: boolean): Promise<string[]> {
  const [row] = await statement<{ mended: string[] }>('select mend_schema($1) as mended', [areStranded]);
  return row?.mended ?? [];
}
