import { existsSync } from 'node:fs';
import t from 'tap';
import { scenarios } from '../chaos/scenarios/index.js';
import { readPage } from '../helpers/documentation.js';
import { hasTest } from '../helpers/named-tests.js';

const page = await readPage('docs/guarantees.md');
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .map((line) => line.slice(1, -1).split(' | '))
  .map((cells) => cells.map((cell) => cell.trim()));
const promises = rows.filter((cells) => cells.length === 4 && cells[0] !== 'Promise' && !cells[0]?.startsWith('-'));
const names = scenarios.map(({ name }) => name);
const namesIn = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);

t.test('every promise of docs/guarantees.md names pages, tests and fault runs that exist', (t) => {
  t.ok(promises.length >= 25, `${promises.length} promises`);
  for (const [promise = '', from = '', tests = '', runs = ''] of promises) {
    const links = [...from.matchAll(/\]\(([\w-]+\.md)(?:#[^)]*)?\)/g)];
    t.ok(links.length > 0, `${promise}: where it comes from`);
    for (const [, file = ''] of links)
      t.ok(existsSync(new URL(`../../docs/${file}`, import.meta.url)), `${promise}: ${file}`);
    for (const each of tests.split('<br>')) {
      const [, file = '', name = ''] = /^`(test\/[\w/.-]+\.ts)`: (.+)$/.exec(each) ?? [];
      t.ok(hasTest(file, name), `${promise}: ${each}`);
    }
    for (const name of namesIn(runs)) t.ok(names.includes(name), `${promise}: ${name}`);
  }
  t.end();
});

t.test('docs/guarantees.md has the figures of every fault run', (t) => {
  const figures = page.slice(page.indexOf('### The last long run'));
  t.strictSame(
    [...figures.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name),
    names,
  );
  t.end();
});
