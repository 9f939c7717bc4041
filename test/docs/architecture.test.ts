import { existsSync, readdirSync } from 'node:fs';
import t from 'tap';
import { readPage } from '../helpers/documentation.js';

const page = (await readPage('docs/architecture.md')).replace(/\n {3}/g, ' ');
const src = new URL('../../src/', import.meta.url);

t.test('docs/architecture.md: every call is in the file that it names', async (t) => {
  const calls = [...page.matchAll(/`(#?\w+)\(\)` (?:or `\w+\(\)` )?in `([\w/-]+\.ts)`/g)];
  t.ok(calls.length > 25, `${calls.length} calls`);
  for (const [, name, file] of calls) {
    t.match(await readPage(`src/${file}`), new RegExp(`${name}(<[^(]*>)?\\(`), `${name}() in ${file}`);
  }
  for (const [, file = ''] of page.matchAll(/`([\w/-]+\.ts)`/g)) t.ok(existsSync(new URL(file, src)), file);
});

t.test('docs/architecture.md names every room of src/, and no others', (t) => {
  const table = page.slice(page.indexOf('| room |'), page.indexOf('A message comes late'));
  const named = table.split('\n').flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([\w-]+)\/`/g)]);
  const rooms = readdirSync(src, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  t.strictSame(named.map(([, room]) => room).sort(), rooms.map(({ name }) => name).sort());
  t.end();
});
