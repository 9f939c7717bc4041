import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';

const root = new URL('../../', import.meta.url);

/** Paths in the package. Without its scripts: they would build anew what the tests run. */
async function packedFiles(): Promise<Set<string>> {
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: fileURLToPath(root),
    maxBuffer: 10 * 1024 * 1024,
  });
  const packed: { files: { path: string }[] }[] = JSON.parse(stdout);
  return new Set(packed.flatMap(({ files }) => files.map(({ path }) => path)));
}

/** Targets of relative links, without code, and without what follows a #. */
function linksOf(text: string): string[] {
  const prose = text.replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target.split('#')[0] ?? '')
    .filter((target) => target !== '' && !/^[a-z]+:/.test(target));
}

const files = await packedFiles();
const pages = [...files].filter((path) => path.endsWith('.md'));

t.test('the documentation and the examples are in the package', async (t) => {
  for (const path of [
    'README.md',
    'CHANGELOG.md',
    'docs/sql.md',
    'docs/decisions',
    'examples/publish.php',
    'examples/README.md',
  ])
    t.ok(
      [...files].some((each) => each === path || each.startsWith(`${path}/`)),
      path,
    );
});

t.test('every relative link of a page in the package leads to a file in the package', async (t) => {
  let count = 0;
  for (const page of pages) {
    for (const link of linksOf(readFileSync(new URL(page, root), 'utf8'))) {
      const target = posix.join(posix.dirname(page), link);
      count++;
      t.ok(files.has(target), `${page}: ${link}${existsSync(new URL(target, root)) ? ' (not packed)' : ''}`);
    }
  }
  t.ok(count > 100, 'links were found');
});

t.test('every file and folder of the repository that the documentation names is there', (t) => {
  let count = 0;
  // What was once, and what is yet to be written.
  const others = ['CHANGELOG.md', 'CONTRIBUTING.md'];
  for (const page of pages.filter((each) => !others.includes(each))) {
    const named = readFileSync(new URL(page, root), 'utf8').matchAll(
      /(?<![\w./@-])(?:src|sql|test|bench|scripts|migrations|demo|examples|docs)\/[\w./-]*\w/g,
    );
    for (const [path] of named) {
      count++;
      t.ok(existsSync(new URL(path, root)), `${page}: ${path}`);
    }
  }
  t.ok(count > 100, 'paths were found');
  t.end();
});

t.test('the first lines of an example show how to run it', (t) => {
  for (const path of [...files].filter((each) => /^examples\/.*(?<!\.md)$/.test(each))) {
    const [first, second] = readFileSync(new URL(path, root), 'utf8').split('\n');
    t.match(`${first}\n${second}`, posix.basename(path), path);
  }
  t.end();
});
