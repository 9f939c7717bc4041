import t from 'tap';
import { createDatabase } from '../helpers/database.js';
import { blocksOf, readPage, rowsOf } from '../helpers/documentation.js';
import { runProgram } from '../helpers/documented-program.js';

const page = await readPage('docs/debugging.md');

t.test('the program of docs/debugging.md prints what the page says', async (t) => {
  const { url } = await createDatabase(t);
  const [program, ...others] = blocksOf(page).filter(({ language }) => language === 'ts');
  t.strictSame(others, []);
  const { output, ended } = await runProgram(t, program?.text ?? '', url);
  t.equal(await ended, 0, output());
  t.equal(output(), '/orders/7 1 to a callback\n');
});

t.test(
  'docs/debugging.md has every channel and event of the traces, and explains each that may hold a message back',
  async (t) => {
    const source = await readPage('src/foundation/trace.ts');
    const parts = source.split(/^(?:\/\*\*| \*) On `(?=postbus:)/m).slice(1);
    const events = new Map(
      parts.map((part) => [
        part.split('`')[0] ?? '',
        [...new Set([...part.matchAll(/event: '(\w+)'/g)].map(([, event = '']) => event))],
      ]),
    );
    const [, outcomes = ''] = /type NoticeOutcome =(.*?);\n\n/s.exec(source) ?? [];
    events.get('postbus:notice')?.unshift(...[...outcomes.matchAll(/'(\w+)'/g)].map(([, event = '']) => event));
    const documented = rowsOf(page).filter(([name = '']) => name.startsWith('postbus:'));
    t.strictSame(
      documented.map(([name, list = '']) => [name, list.split(', ').sort()]),
      [...events].map(([name, list]) => [name, [...list].sort()]),
    );
    for (const [name, list] of events) {
      for (const event of list) {
        if (event === 'published' || event === 'dispatched' || name === 'postbus:read') continue;
        t.match(page, new RegExp(`\`${name.slice('postbus:'.length)} ${event}\``), `${name} ${event}`);
      }
    }
  },
);
