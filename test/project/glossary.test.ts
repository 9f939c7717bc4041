import { readdir, readFile } from 'node:fs/promises';
import t from 'tap';
import { readPage } from '../helpers/documentation.js';

const page = await readPage('docs/glossary.md');
const tables = page.split('\n## ').slice(1).map(rowsOf);

/** Term, meaning, and names in the code. */
function rowsOf(section: string): string[][] {
  const rows = section.split('\n').filter((line) => /^\| [a-z]/.test(line));
  return rows.map((row) => row.split('|').slice(1, -1)).map((row) => row.map((cell) => cell.trim()));
}

async function codeOf(folder: string): Promise<string> {
  const url = new URL(`../../${folder}/`, import.meta.url);
  const paths = (await readdir(url, { recursive: true })).filter((path) => /\.(ts|sql)$/.test(path));
  return (await Promise.all(paths.map((path) => readFile(new URL(path, url), 'utf8')))).join('\n');
}

t.test('each term of the glossary is one sentence, in the order of the alphabet, once', (t) => {
  const terms = tables.flat().map(([term]) => term);
  t.ok(terms.length > 30);
  t.equal(new Set(terms).size, terms.length);
  for (const table of tables) {
    const inTable = table.map(([term]) => term);
    t.strictSame(inTable, [...inTable].sort());
    for (const [term = '', meaning] of table) t.match(meaning, /^[A-Z][^.]*\.$/, term);
  }
  t.end();
});

t.test('what the glossary says to search for is in src/, sql/ or migrations/', async (t) => {
  const code = (await Promise.all(['src', 'sql', 'migrations'].map(codeOf))).join('\n');
  for (const [term = '', , places = ''] of tables.flat()) {
    const names = [...places.matchAll(/`(\w+)`/g)].map(([, name = '']) => name);
    t.ok(names.length > 0, `${term} has a place`);
    for (const name of names) t.ok(new RegExp(`\\b${name}\\b`).test(code), `${term}: ${name}`);
  }
});
