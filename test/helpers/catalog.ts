import type { TestDatabase } from './database.js';

/** All that makes up a schema, as text: to compare two of them. */
export async function describeSchema({ query }: TestDatabase, schema: string): Promise<string[]> {
  const rows = await query<{ line: string }>(
    `with n as (select * from pg_namespace where nspname = $1)
    select format('schema: %s %s', pg_get_userbyid(nspowner), nspacl) as line from n
    union all
    select format('%s %s: %s %s %s', c.relkind, c.relname, c.reloptions, pg_get_userbyid(c.relowner), c.relacl)
      from pg_class c join n on n.oid = c.relnamespace
    union all
    select format('column %s.%s.%s: %s null %s collation %s identity %s default %s', c.relname, a.attnum, a.attname,
        format_type(a.atttypid, a.atttypmod), not a.attnotnull, a.attcollation::regcollation, a.attidentity,
        (select pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d where d.adrelid = a.attrelid and d.adnum = a.attnum))
      from pg_attribute a join pg_class c on c.oid = a.attrelid join n on n.oid = c.relnamespace
      where a.attnum > 0 and not a.attisdropped
    union all
    select format('constraint %s.%s: %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
      from pg_constraint k join n on n.oid = k.connamespace
    union all
    select format('index %s: %s', indexname, indexdef) from pg_indexes where schemaname = $1
    union all
    select format('trigger %s: %s %s', g.tgname, pg_get_triggerdef(g.oid), g.tgenabled)
      from pg_trigger g join pg_class c on c.oid = g.tgrelid join n on n.oid = c.relnamespace
    union all
    select format('function %s: %s %s %s', p.oid::regprocedure, pg_get_userbyid(p.proowner), p.proacl, pg_get_functiondef(p.oid))
      from pg_proc p join n on n.oid = p.pronamespace
    union all
    select format('comment %s: %s', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description)
      from pg_description d where exists (select from pg_class c join n on n.oid = c.relnamespace where c.oid = d.objoid)
        or exists (select from pg_proc p join n on n.oid = p.pronamespace where p.oid = d.objoid)
    order by 1`,
    [schema],
  );
  return rows.map(({ line }) => line);
}
