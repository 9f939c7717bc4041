import t from 'tap';
import { readPage } from '../helpers/documentation.js';
import { hasTest } from '../helpers/named-tests.js';

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
      t.ok(hasTest(file, name), `${item}: ${each}`);
    }
  }
  t.end();
});

t.test('no item is named twice', (t) => {
  const named = items.map(([item]) => item);
  t.strictSame(named, [...new Set(named)]);
  t.end();
});
