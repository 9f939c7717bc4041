import pg from 'pg';
import type { RunStatement } from '../../postgres.js';
import { namesLiteral, type SchemaSql } from '../sql/load.js';

// The triggers without which what is published is not announced, and their tables.
const triggers = { announce: 'messages', publish_outbox: 'outbox' };

/** Those of the triggers that do not fire for everybody, or are missing though their table is there. */
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

/** The tables, types and sequences that the migrations have made and somebody has dropped. */
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

/** What the function of that name tells; the schema has it, and it is ours. */
export async function schemaDamage(statement: RunStatement, schema: string): Promise<string[]> {
  const [row] = await statement<{ damage: string[] }>(
    `select ${pg.escapeIdentifier(schema)}.schema_damage() as damage`,
  );
  return row?.damage ?? [];
}

/** Mends it; resolves to what was mended. Runs with the schema in the search path. */
export async function mendSchema(statement: RunStatement, areStranded: boolean): Promise<string[]> {
  const [row] = await statement<{ mended: string[] }>('select mend_schema($1) as mended', [areStranded]);
  return row?.mended ?? [];
}
