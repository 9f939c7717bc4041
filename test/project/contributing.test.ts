import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { createDatabase } from '../helpers/database.js';
import { blocksOf, readPage } from '../helpers/documentation.js';

const root = new URL('../../', import.meta.url);
const page = await readPage('CONTRIBUTING.md');
const blocks = blocksOf(page.replace(/^ {3}/gm, ''));

/** The files that the page tells its reader to make. */
const made = [
  'sql/reading/message_count.sql',
  'test/sql/retention/message-count.test.ts',
  'docs/name.md',
  'docs/decisions/NNN-name.md',
];

t.test('every npm script that CONTRIBUTING.md names is in package.json', async (t) => {
  const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
  const named = new Set([...page.matchAll(/npm run ([\w:]+)/g)].map(([, name = '']) => name));
  t.ok(named.size > 8);
  for (const name of named) t.ok(name in scripts, name);
});

t.test('every file and folder that CONTRIBUTING.md names is there', async (t) => {
  const paths = new Set(page.match(/(?<![\w/.-])(src|sql|test|docs|migrations|bench|scripts)\/[\w/.-]*\w/g));
  t.ok(paths.size > 20);
  for (const path of paths) if (!made.includes(path)) t.ok(existsSync(new URL(path, root)), path);
});

t.test('the first change of CONTRIBUTING.md does what its test says', async (t) => {
  const { pool } = await createDatabase(t);
  const [created] = blocks.filter(({ language }) => language === 'sql');
  const [test] = blocks.filter(({ language }) => language === 'ts');
  const session = await pool.connect();
  await session.query(`set search_path = message_bus; ${created?.text}; reset search_path`);
  const [publish = '', count = ''] = [...(test?.text ?? '').matchAll(/query\(`(.*?)`\)/g)].map(([, text]) => text);
  await session.query(publish);
  const { rows } = await session.query(count);
  session.release();
  t.strictSame(rows, [{ count: 3 }]);
  t.match(test?.text, '[{ count: 3 }]');
});
