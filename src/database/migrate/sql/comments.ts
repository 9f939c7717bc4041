import pg from 'pg';
import { doBlock } from './do-block.js';

/** A comment on an object of the schema, which psql shows (`\d+`, `\df+`). */
export interface Comment {
  kind: 'table' | 'column' | 'type' | 'sequence' | 'function';
  /** Name without the schema; that of a column includes its table. */
  name: string;
  text: string;
}

const schemaComment = 'A message bus, postbus. The functions are for applications, the tables for the bus alone.';

const kinds: Comment['kind'][] = ['table', 'column', 'type', 'sequence'];

/** Reads the `comment on` statements of sql/comments/, one on each line. */
export function writtenComments(statements: string): Comment[] {
  const found = statements.matchAll(/^comment on (\w+) (\S+) is '(.*)';$/gm);
  return [...found].flatMap(([, word = '', name = '', text = '']) => {
    const kind = kinds.find((each) => each === word);
    return kind === undefined ? [] : [{ kind, name, text: text.replaceAll("''", "'") }];
  });
}

/** Reads the comment above each function of the SQL, which is also the comment on the function in the database. */
export function functionComments(statements: string): Comment[] {
  const found = statements.matchAll(/((?:^--.*\n)+)create or replace function (\w+)/gm);
  return [...found].map(([, lines = '', name = '']) => ({
    kind: 'function',
    name,
    text: lines.replace(/^-- ?/gm, '').trim(),
  }));
}

/**
 * Returns SQL that comments on the schema and its objects. It skips objects that have their comment, because `comment
 * on` waits for vacuum of the table. The table `turn` comes last, like in a publish: once it is locked, nobody can
 * publish until the migration commits. If the schema itself has a comment, it keeps that, because it may be `public`.
 */
export function commentOnAll(schema: string, comments: readonly Comment[]): string {
  const name = pg.escapeLiteral(schema);
  const body = `
declare
  ours oid := (select n.oid from pg_namespace n where n.nspname = ${name});
  made record;
begin
  if obj_description(ours, 'pg_namespace') is null and (select pg_has_role(n.nspowner, 'usage') from pg_namespace n where n.oid = ours) then
    execute format('comment on schema %I is %L', ${name}, ${pg.escapeLiteral(schemaComment)});
  end if;
  for made in
    with written as (
      select w.* from jsonb_to_recordset(${pg.escapeLiteral(JSON.stringify(comments))}) w(kind text, name text, text text)
    ), present as (
      select w.text, format('%s %s', w.kind, c.oid::regclass) as object, 'pg_class'::regclass as class, c.oid, 0 as part
        from written w join pg_class c on c.relname = w.name where w.kind in ('table', 'sequence') and c.relnamespace = ours
      union all
      select w.text, format('column %s.%I', c.oid::regclass, a.attname), 'pg_class'::regclass, c.oid, a.attnum
        from written w join pg_class c on c.relname = split_part(w.name, '.', 1)
        join pg_attribute a on a.attrelid = c.oid and a.attname = split_part(w.name, '.', 2)
        where w.kind = 'column' and c.relnamespace = ours
      union all
      select w.text, format('type %s', t.oid::regtype), 'pg_type'::regclass, t.oid, 0
        from written w join pg_type t on t.typname = w.name where w.kind = 'type' and t.typnamespace = ours
      union all
      select w.text, format('function %s', p.oid::regprocedure), 'pg_proc'::regclass, p.oid, 0
        from written w join pg_proc p on p.proname = w.name where w.kind = 'function' and p.prokind = 'f' and p.pronamespace = ours
    )
    select p.object, p.text from present p
    left join pg_description d on d.classoid = p.class and d.objoid = p.oid and d.objsubid = p.part
    where d.description is distinct from p.text
    order by p.oid = (select c.oid from pg_class c where c.relname = 'turn' and c.relnamespace = ours), p.class, p.oid, p.part
  loop
    execute format('comment on %s is %L', made.object, made.text);
  end loop;
end`;
  return doBlock(body);
}
