import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../../', import.meta.url));
const columns = 120;

// Literals are not broken: their text is what somebody reads, or SQL that is executed.
const long = /'(?:[^']|'')*'|\$([a-z]+)\$[\s\S]*?\$\1\$/g;
const literalOfSome = 40;

// Migrations are left out: they are never changed.
t.test('lines of SQL end at 120 columns, unless a long literal begins on them', async (t) => {
  for (const file of readdirSync(`${root}sql`, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.sql')) continue;
    const text = readFileSync(`${root}sql/${file}`, 'utf8');
    const bare = text
      .replace(/--.*$/gm, (comment) => comment.replaceAll("'", ' '))
      .replace(long, (literal) => {
        return literal.length < literalOfSome ? literal.replace(/\n/g, ' ') : `''${literal.replace(/[^\n]/g, '')}`;
      });
    for (const [i, line] of bare.split('\n').entries()) {
      if (line.length > columns) t.fail(`sql/${file}, line ${i + 1}: ${line.length} columns`);
    }
  }
});
