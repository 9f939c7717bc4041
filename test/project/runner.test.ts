import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath, pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import { until } from '../helpers/until.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Runs the tests of a fixture whose titles have a text in them. */
async function runTitled(title: string) {
  const child = spawn(process.execPath, ['test/run-files.mjs', 'test/project/fixtures/two-titles.ts'], {
    cwd: root,
    // A filter for this file is none for that one.
    env: { ...process.env, TAP_GREP: undefined, POSTBUS_TEST_TITLE: title },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const [, stdout, , counts] = child.stdio;
  if (!stdout || !counts || !('read' in counts)) throw new Error('no pipes');
  const [output, count, [code]] = await Promise.all([text(stdout), text(counts), once(child, 'exit')]);
  return { output, count: JSON.parse(count), code };
}

t.test(
  '`npm test -- -t` runs the tests whose titles have the text in them, in any case, and counts no others',
  async (t) => {
    const { output, count, code } = await runTitled('FIRST title (');
    t.strictSame(count, { passed: 1, failed: 0, skipped: 0 });
    t.equal(code, 0);
    t.notMatch(output, 'second title');
  },
);

t.test('`npm test -- -t` with a text that no title has fails and says so', async (t) => {
  const { output, code } = await runTitled('first.title');
  t.match(output, 'no test has this in its title: first.title');
  t.equal(code, 1);
});

/** Watches a folder, and runs a program that prints that it runs until it is ended. */
function startWatching(t: Test, folder: string, prepare: string) {
  const module = JSON.stringify(pathToFileURL(join(root, 'scripts/watch.mjs')).href);
  const program = `process.on('SIGTERM', () => { console.log('ended'); process.exit(); }); setInterval(() => {}, 1e6); console.log('runs');`;
  const script = `import { existsSync } from 'node:fs'; import { watch } from ${module};
    await watch({ folders: [${JSON.stringify(folder)}], prepare: async () => { ${prepare} }, command: ['-e', ${JSON.stringify(program)}] });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
  // It ends its program, which would hold the pipes.
  t.teardown(async () => {
    if (child.exitCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part) => {
      output += part;
    });
  }
  return { child, lines: () => output.trim().split('\n') };
}

t.test(
  'a watched program is ended and started again after a change in a folder below, and ends with the watch',
  async (t) => {
    const folder = t.testdir({ inner: {} });
    const { child, lines } = startWatching(t, folder, '');
    await until(() => lines().includes('runs'), 'the program runs');
    writeFileSync(join(folder, 'inner', 'new.ts'), '1');
    await until(() => lines().filter((line) => line === 'runs').length === 2, 'the program runs again');
    t.strictSame(lines(), ['runs', 'ended', 'A file has changed: starting again.', 'runs']);
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    t.strictSame(await exit, [0, null]);
    await until(() => lines().at(-1) === 'ended', 'the program has ended');
  },
);

t.test('a watch whose build fails tells of it, and builds again after the next change', async (t) => {
  const folder = t.testdir({ broken: '' });
  const broken = JSON.stringify(join(folder, 'mended'));
  const { lines } = startWatching(t, folder, `if (!existsSync(${broken})) throw new Error('does not compile');`);
  await until(() => lines().includes('does not compile'), 'the error is shown');
  writeFileSync(join(folder, 'mended'), '');
  await until(() => lines().at(-1) === 'runs', 'the program runs');
  t.pass();
});
