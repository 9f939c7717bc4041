import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { readPage } from './helpers/documentation.js';

const root = new URL('../', import.meta.url);

/** What tests of a file may be called: a name put together in a loop stands for all that it may become. */
function namesIn(file: string): RegExp[] {
  const source = readFileSync(new URL(file, root), 'utf8');
  const names = [...source.matchAll(/\bt\.test\(\s*(?:'((?:\\.|[^'\\])*)'|"([^"]*)"|`([^`]*)`)/g)];
  return names.map(([, single, double, template]) => {
    const parts = (template ?? double ?? single?.replace(/\\(.)/g, '$1') ?? '').split(/\$\{[^}]*(?:\{[^}]*\}[^}]*)*\}/);
    return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.+')}$`);
  });
}

const page = await readPage('docs/parity.md');
const lines = page.split('\n').filter((line) => line.startsWith('|'));
const rows = lines.map((line) =>
  line
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim()),
);
const items = rows.filter(([first = '']) => !/^(In message_bus|-+)$/.test(first));

t.test('every row names what it is about, and tests that exist', (t) => {
  t.ok(items.length > 40, `${items.length} rows`);
  for (const cells of items) {
    const [item = '', , , tests = ''] = cells;
    t.equal(cells.length, 4, item);
    t.not(item, '');
    for (const each of tests.split('<br>')) {
      const [, file = '', name = ''] = /^`(test\/[\w/.-]+\.ts)`: (.+)$/.exec(each) ?? [];
      t.ok(file !== '' && existsSync(new URL(file, root)), `${item}: ${each}`);
      if (file !== '' && existsSync(new URL(file, root))) {
        t.ok(
          namesIn(file).some((pattern) => pattern.test(name)),
          `${item}: ${file} has a test "${name}"`,
        );
      }
    }
  }
  t.end();
});

t.test('no item is named twice', (t) => {
  const named = items.map(([item]) => item);
  t.strictSame(named, [...new Set(named)]);
  t.end();
});
