import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { createDatabase } from '../helpers/database.js';

const root = new URL('../../', import.meta.url);
const pages = ['docs/sql.md', 'docs/triggers.md', 'docs/protocol-sql.md', 'docs/operating.md', 'docs/tables.md'];
const texts = await Promise.all(pages.map((page) => readFile(new URL(page, root), 'utf8')));
const guide = texts.join('\n');

interface Example {
  statement: string;
  /** A line a row, columns between bars; or `ERROR`, SQLSTATE and message. Undefined where the page shows nothing. */
  shown: string[] | undefined;
}

/** Statements end with a semicolon at the end of a line; the comments that follow directly are their result. */
function examples(block: string): Example[] {
  const found: Example[] = [];
  let lines: string[] = [];
  let body = false;
  for (const line of block.split('\n')) {
    const last = found.at(-1);
    if (lines.length === 0 && line.startsWith('-- ') && last) {
      last.shown = [...(last.shown ?? []), line.slice(3)];
      continue;
    }
    if (lines.length === 0 && line === '') continue;
    lines.push(line);
    if (line.split('$$').length % 2 === 0) body = !body;
    if (body || !line.endsWith(';')) continue;
    found.push({ statement: lines.join('\n'), shown: undefined });
    lines = [];
  }
  if (lines.length > 0) throw new Error(`without an end: ${lines.join('\n')}`);
  return found;
}

for (const [index, page] of pages.entries())
  t.test(`every statement of ${page} does what the page shows`, async (t) => {
    const database = await createDatabase(t);
    const client = new pg.Client(database.url);
    await client.connect();
    t.teardown(async () => {
      // Roles are the server's, not the database's.
      for (const [, role] of texts[index]?.matchAll(/^create role (\w+);/gm) ?? []) {
        await client.query(`drop owned by ${role}; drop role ${role}`);
      }
      await client.end();
    });
    const run = async (text: string): Promise<string[]> => {
      try {
        // Values as Postgres writes them.
        const types = { getTypeParser: () => (value: string) => value };
        const { rows } = await client.query<(string | null)[]>({ text, rowMode: 'array', types });
        return rows.map((row) => row.map((value) => value ?? 'null').join(' | '));
      } catch (error) {
        if (error instanceof pg.DatabaseError) return [`ERROR ${error.code} ${error.message}`];
        throw error;
      }
    };
    const blocks = [...(texts[index] ?? '').matchAll(/```sql\n(.*?)```/gs)].flatMap(([, block = '']) =>
      examples(block),
    );
    t.ok(blocks.length >= 3);
    for (const { statement, shown } of blocks) {
      const result = await run(statement);
      if (shown) t.strictSame(result, shown, statement);
      else t.notMatch(result.join(), /^ERROR/, statement);
    }
  });

t.test('the pages have every function, each parameter in its place, and every error', async (t) => {
  const { query } = await createDatabase(t);
  const text = guide.replace(/\s+/g, ' ');
  const files = (await sqlFiles()).filter((path) => !/internal|comments/.test(path));
  t.ok(files.length >= 10);
  for (const file of files) {
    const name = basename(file, '.sql');
    const [row] = await query<{ parameters: string; result: string }>(
      `select pg_get_function_arguments(oid) as parameters, pg_get_function_result(oid) as result
      from pg_proc where oid = $1::regproc`,
      [`message_bus.${name}`],
    );
    const parameters = (row?.parameters ?? '')
      .replace(/ DEFAULT ('[^']*'|\S+?)(::\w+(\[\])?)?(?=,|$)/g, ' = $1')
      .replaceAll('integer', 'int')
      .replaceAll('NULL', 'null')
      .replaceAll("'0'", '0');
    const result = row?.result.replace('SETOF', 'setof').replace(/(message_bus\.)?\bmessage$/, 'message_bus.message');
    t.ok(text.includes(`message_bus.${name}(${parameters}) returns ${result}`), `${name}(${parameters}) ${result}`);
    t.match(guide, new RegExp(`^##+ .*\\b${name}\\b`, 'm'));
  }
  const codes = new Set<string>();
  for (const file of await sqlFiles())
    for (const [code] of (await readFile(new URL(`sql/${file}`, root), 'utf8')).matchAll(/PB\d{3}/g)) codes.add(code);
  t.strictSame(
    [...codes].sort(),
    [...guide.matchAll(/^\| (PB\d{3}) \|/gm)].map(([, code]) => code),
  );
});

async function sqlFiles(): Promise<string[]> {
  return (await readdir(new URL('sql/', root), { recursive: true })).filter((path) => path.endsWith('.sql'));
}
