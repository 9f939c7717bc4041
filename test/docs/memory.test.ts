import t from 'tap';
import { blocksOf, readPage, rowsOf } from '../helpers/documentation.js';
import { runProgram } from '../helpers/documented-program.js';

const page = await readPage('docs/memory.md');
const [ofTests = '', ofSharing = '', ...others] = blocksOf(page)
  .filter(({ language }) => language === 'ts')
  .map(({ text }) => text);
t.strictSame(others, [], 'every example is run');

t.test('the example of tests passes, and its process ends', async (t) => {
  const { output, ended } = await runProgram(t, ofTests, '');
  t.equal(await ended, 0, output());
  t.match(output(), /# pass 3\n# fail 0|ℹ pass 3\nℹ fail 0/);
});

t.test('so does that of sharing', async (t) => {
  const { output, ended } = await runProgram(t, ofSharing, '');
  t.equal(await ended, 0, output());
  t.strictSame(output().split('\n').sort(), ['', "{ status: 'packed' }", "{ status: 'paid' }", '2 0'].sort());
});

t.test('the options are those of the code', async (t) => {
  const source = await readPage('src/memory/index.ts');
  const [, body = ''] = /interface MemoryBusOptions .*?\{\n(.*?)\n\}/s.exec(source) ?? [];
  const names = [...body.matchAll(/^ {2}(\w+)\?/gm)].map(([, name]) => name);
  t.strictSame(
    rowsOf(page).map(([name]) => name),
    names,
  );
});
