import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { createDatabase } from '../helpers/database.js';
import { freePort } from '../helpers/free-port.js';
import { until } from '../helpers/until.js';
import { isReady } from '../server/fixtures/running-server.js';

const root = new URL('../../', import.meta.url);
const cli = fileURLToPath(new URL('dist/cli.js', root));

for (const workers of [1, 2])
  t.test(
    `a server that npm has started ends when the shell in between is ended, with ${workers} workers`,
    async (t) => {
      const { url: DATABASE_URL } = await createDatabase(t);
      const port = await freePort();
      // As npm does it: the signal reaches the shell alone. Not every shell hands its process over to the last command.
      const shell = spawn(
        'sh',
        ['-c', `"${process.execPath}" "${cli}" serve --port ${port} --workers ${workers}; true`],
        {
          env: { PATH: process.env.PATH, DATABASE_URL, npm_command: 'run-script' },
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      );
      let closed = false;
      // When the last process that holds its output has ended.
      shell.once('close', () => {
        closed = true;
      });
      let stderr = '';
      shell.stderr.on('data', (text) => {
        stderr += text;
      });
      shell.stdout.resume();
      await until(() => isReady(`http://127.0.0.1:${port}`).catch(() => false), 'it is ready', 60_000);
      shell.kill('SIGTERM');
      await until(() => closed, 'the server has ended, too');
      t.equal(stderr, '');
    },
  );

t.test('the scripts that the README names need no shell of POSIX', async (t) => {
  const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
  const named = [...readFileSync(new URL('README.md', root), 'utf8').matchAll(/npm (?:run )?([\w:]+)/g)].map(
    ([, name = '']) => name,
  );
  const used = ['start', 'test', 'build', 'build:script', ...named].flatMap((name) => [`pre${name}`, name]);
  t.ok(used.includes('start'));
  for (const name of new Set(used)) {
    const script: unknown = scripts[name];
    if (typeof script !== 'string') continue;
    const unquoted = script.replace(/"[^"]*"/g, '');
    t.notMatch(unquoted, /\bexec\b|[$`';]|^bash|\b(rm|cp|chmod)\b|^\w+=|[^&]&[^&]/, name);
    for (const [, file = ''] of script.matchAll(/node (\S+\.m?js)/g))
      if (!file.startsWith('dist')) t.ok(existsSync(join(fileURLToPath(root), file)), file);
  }
});
