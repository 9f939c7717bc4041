import t from 'tap';
import { openCache } from '../distributed-cache/fixtures/caches.js';
import { createDatabase } from '../helpers/database.js';
import { blocksOf, readPage, rowsOf } from '../helpers/documentation.js';
import { runProgram } from '../helpers/documented-program.js';
import { until } from '../helpers/until.js';

const page = await readPage('docs/distributed-cache.md');
const blocks = (wanted: string) => blocksOf(page).filter(({ language }) => language === wanted);

t.test('the examples run', async (t) => {
  const { url } = await createDatabase(t);
  const expected = [
    ['5', '5', 'false'],
    ['load 7', 'true true true'],
  ];
  const sources = blocks('ts').map(({ text }) => text);
  t.equal(sources.length, expected.length);
  for (const [i, source] of sources.entries()) {
    const { output } = await runProgram(t, source, url);
    const printed = () => output().split('\n').slice(0, -1);
    await until(() => printed().length >= (expected[i]?.length ?? 0), `it prints its lines; so far: ${output()}`);
    t.strictSame(printed(), expected[i]);
  }
});

t.test('the SQL deletes a key', async (t) => {
  const { url, query } = await createDatabase(t);
  const cache = await openCache(t, url, { siteId: 'shop-1' }, {}, 'users');
  await Promise.all([cache.set('7', 'a'), cache.set('8', 'b')]);
  for (const { text } of blocks('sql')) await query(text);
  await until(() => cache.size === 1, 'it is deleted');
  t.ok(cache.has('8'));
  await query(`select message_bus.publish('/distributed-cache/users', $1, site_id => 'shop-1')`, [
    { op: 'set', key: '9', value: '"c"' },
  ]);
  await until(() => cache.get('9') === 'c', 'it is set');
  await query(`select message_bus.publish('/distributed-cache/users', '{"op": "clear"}', site_id => 'shop-1')`);
  await until(() => cache.size === 0, 'it is empty');
});

t.test('the options are those of the code', async (t) => {
  const source = await readPage('src/distributed-cache/index.ts');
  const options = /interface DistributedCacheOptions \{(.*?)\n\}/s.exec(source)?.[1] ?? '';
  const inCode = [...options.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name);
  const shown = rowsOf(page)
    .map(([name = '']) => name)
    .filter((name) => /^\w+$/.test(name));
  t.strictSame(shown, inCode);
});
