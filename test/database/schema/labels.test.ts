import t from 'tap';
import { createDatabase } from '../../helpers/database.js';

interface Routine {
  name: string;
  volatility: Volatility;
  isParallelSafe: boolean;
  /** Without comments and literals. */
  body: string;
  isTrigger: boolean;
  calls: string[];
}

type Volatility = 'immutable' | 'stable' | 'volatile';

const order: Volatility[] = ['immutable', 'stable', 'volatile'];

// Postgres calls them stable or volatile because of other types, or other overloads, than those we give them.
const textual = new Set(
  'concat_ws convert_to format jsonb_build_object json_build_array array_to_string length max quote_literal string_agg substring'.split(
    ' ',
  ),
);

/** Labels that are right though the function calls something that has a weaker one. */
const exceptions: Record<string, string> = {
  table_fault: 'pg_partition_tree() is volatile because it looks at the catalog as it is now',
  check_changes: 'the same',
  change_condition_probe: 'a random name, in a statement for its caller',
  incarnation_home: 'the server and its timeline stay what they are while a statement runs',
  schema_damage: 'what it executes reads',
};

/** Inlined only if the label is no stronger than those of the functions of Postgres that are called, whatever the types. */
const inlined = new Set(
  'channel_head message_line sign_payload microseconds ids_bytes change_mark reach_pass'.split(' '),
);

t.test(
  'each function is as volatile as what it calls, reads and writes, and parallel safe if all of that is',
  async (t) => {
    const { query } = await createDatabase(t);
    const ours = await query<Routine & { definition: string }>(
      `select p.proname::text as name, case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end as volatility,
      p.proparallel = 's' as "isParallelSafe", pg_get_functiondef(p.oid) as definition, p.prorettype = 'trigger'::regtype as "isTrigger"
    from pg_proc p where p.pronamespace = 'message_bus'::regnamespace and p.proname <> 'migrated_by'`,
    );
    const theirs = await query<{ name: string; volatility: number; isParallelSafe: boolean }>(
      `select p.proname::text as name, max(array_position('{i,s,v}', p.provolatile::text)) - 1 as volatility,
      bool_and(p.proparallel = 's') as "isParallelSafe"
    from pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace group by 1`,
    );
    const relations = await query<{ name: string }>(
      `select c.relname::text as name from pg_class c
    where c.relnamespace in ('message_bus'::regnamespace, 'pg_catalog'::regnamespace) and c.relkind in ('r', 'v', 'S')`,
    );
    const tables = new Set(relations.map(({ name }) => name));
    const ofPostgres = new Map(theirs.map((each) => [each.name, each]));
    const byName = new Map(ours.map((each) => [each.name, each]));
    for (const routine of ours) {
      routine.body = bodyOf(routine.definition);
      const names = [...routine.body.matchAll(/(?<!["\w])([a-z_0-9]+)\(/g)].map(([, name = '']) => name);
      routine.calls = [...new Set(names)].filter((name) => byName.has(name) || ofPostgres.has(name));
    }

    const neededVolatility = ({ body, calls, isTrigger }: Routine): number =>
      Math.max(
        isTrigger || writes(body) ? 2 : 0,
        reads(body, tables) || executes(body) ? 1 : 0,
        ...calls.map((name) => {
          const own = byName.get(name);
          if (own) return order.indexOf(own.volatility);
          return textual.has(name) ? 0 : (ofPostgres.get(name)?.volatility ?? 0);
        }),
      );
    for (const routine of ours) {
      const { name, volatility } = routine;
      const needed = order[neededVolatility(routine)];
      if (name in exceptions || (inlined.has(name) && volatility === 'stable')) continue;
      t.equal(volatility, needed, `${name} is ${needed}`);
    }

    const unsafe = new Set(ours.filter(({ body, isTrigger }) => isTrigger || isUnsafe(body)).map(({ name }) => name));
    for (let before = -1; before < unsafe.size; ) {
      before = unsafe.size;
      for (const { name, calls } of ours) {
        const callsUnsafe = calls.some((called) =>
          byName.has(called) ? unsafe.has(called) : ofPostgres.get(called)?.isParallelSafe === false,
        );
        if (callsUnsafe) unsafe.add(name);
      }
    }
    for (const { name, isParallelSafe } of ours) t.equal(isParallelSafe, !unsafe.has(name), `${name}, parallel safe`);
  },
);

function bodyOf(definition: string): string {
  const start = definition.search(/^ ?(AS \$|RETURN |BEGIN ATOMIC)/m);
  return definition
    .slice(start)
    .replace(/--.*$/gm, '')
    .replace(/'(?:[^']|'')*'/g, "''")
    .replaceAll('message_bus.', '')
    .toLowerCase();
}

function writes(body: string): boolean {
  return /\b(insert into|delete from|lock table|set constraints|set local)\b|\bupdate \w+ (\w+ )?set\b|\bfor (no key )?(update|share|key share)\b/.test(
    body.replace(/\s+/g, ' '),
  );
}

function executes(body: string): boolean {
  return /\bexecute\b/.test(body);
}

function reads(body: string, tables: Set<string>): boolean {
  return [...body.matchAll(/\b(?:from|join)\s+\(*([a-z_]+)/g)].some(([, name = '']) => tables.has(name));
}

/** Up to Postgres 16, a subtransaction fails in a parallel worker. Of sequences, the docs of Postgres say that they are unsafe. */
function isUnsafe(body: string): boolean {
  return writes(body) || executes(body) || /\bexception\s+when\b|\bnewest_global_id\b/.test(body);
}
