import type pg from 'pg';

type Query = Pick<pg.Client, 'query'>;

export interface Relation {
  name: string;
  kind: 'table' | 'type' | 'sequence';
  comment: string | null;
  /** Of `with (…)`. */
  options: string[] | null;
  columns: Column[];
  /** Keys and checks, as in `create table`. */
  constraints: string[];
  triggers: string[];
}

export interface Column {
  name: string;
  type: string;
  comment: string | null;
  /** The type and all that follows it in `create table`. */
  definition: string;
}

/** The tables, types and sequences of a schema, in the order in which they were made; without the sequences that a column has. */
export async function relationsOf(client: Query, schema: string): Promise<Relation[]> {
  await client.query(`set search_path = ${schema}`);
  const { rows } = await client.query<Relation>(
    `select c.relname::text as name, case c.relkind when 'r' then 'table' when 'c' then 'type' else 'sequence' end as kind,
      coalesce(obj_description(c.reltype, 'pg_type'), obj_description(c.oid, 'pg_class')) as comment, c.reloptions as options,
      case when c.relkind = 'S' then '{}' else array(
        select json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'comment', col_description(c.oid, a.attnum),
          'definition', concat_ws(' ', format_type(a.atttypid, a.atttypmod),
            case when a.attcollation <> t.typcollation then format('collate %s', a.attcollation::regcollation) end,
            case when a.attidentity = 'a' then 'generated always as identity' end,
            case when a.attnotnull and a.attidentity = '' then 'not null' end,
            'default ' || (select pg_get_expr(d.adbin, d.adrelid, true) from pg_attrdef d where d.adrelid = c.oid and d.adnum = a.attnum)))
        from pg_attribute a join pg_type t on t.oid = a.atttypid where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        order by a.attnum
      ) end as columns,
      array(
        select pg_get_constraintdef(k.oid, true) from pg_constraint k
        where k.conrelid = c.oid and k.contype in ('p', 'u', 'c') order by k.contype, k.conname
      ) as constraints,
      array(
        select pg_get_triggerdef(g.oid, true) || case g.tgenabled when 'A' then format(E';\\nalter table %s enable always trigger %I', c.oid::regclass, g.tgname) else '' end
        from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal order by g.tgname
      ) as triggers
    from pg_class c
    where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'c', 'S')
      and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('i', 'a') and d.refclassid = 'pg_class'::regclass)
    order by c.relname like 'schema_migration%', c.oid`,
    [schema],
  );
  return rows;
}

/** The text of docs/schema.sql. */
export function snapshotOf(relations: Relation[]): string {
  return `-- The tables as the migrations leave them, for reading. docs/tables.md explains them.
-- Written from the catalog by \`npm run write:schema\`.
-- Functions are in sql/. To make a schema, use \`npx postbus migrate\`.

${relations.map(statementOf).join('\n')}
${triggersHeading}

${relations
  .flatMap(({ triggers }) => triggers)
  .map((trigger) => `${trigger.replace(/ (?=(REFERENCING|DEFERRABLE|FOR EACH|WHEN) )/g, '\n  ')};\n`)
  .join('')}`;
}

/** What follows needs the functions. */
export const triggersHeading = '-- Triggers';

function statementOf({ name, kind, options, columns, constraints }: Relation): string {
  if (kind === 'sequence') return `create sequence ${name};\n`;
  const parts = [...columns.map((column) => `${column.name} ${column.definition}`), ...constraints.map(lowerCaseFirst)];
  const body = parts.length === 0 ? '()' : `(\n${parts.map((part) => `  ${part}`).join(',\n')}\n)`;
  const rest = options === null ? '' : ` with (${options.join(options.length > 2 ? ',\n  ' : ', ')})`;
  return kind === 'type' ? `create type ${name} as ${body};\n` : `create table ${name} ${body}${rest};\n`;
}

/** \`PRIMARY KEY (id)\`: in lower case, as all our SQL. */
function lowerCaseFirst(constraint: string): string {
  return constraint.replace(/^[A-Z ]+/, (words) => words.toLowerCase());
}

/** docs/tables.md from its first heading on. */
export function tablesPageOf(relations: Relation[]): string {
  return relations.map(sectionOf).join('\n');
}

function sectionOf({ name, kind, comment, columns }: Relation): string {
  const rows = columns.map((column) => `| \`${column.name}\` | ${column.type} | ${column.comment} |\n`);
  const table = rows.length === 0 ? '' : `\n| Column | Type | |\n|---|---|---|\n${rows.join('')}`;
  return `## ${name}\n\n${kind === 'table' ? '' : `A ${kind}. `}${comment}\n${table}`;
}
