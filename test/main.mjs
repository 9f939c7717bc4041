// `npm test`: builds, then runs the tests, see arguments.mjs. A run of tests by title builds without checking types.
import { spawnSync } from 'node:child_process';
import { buildQuickly } from '../scripts/build-quickly.mjs';
import { title } from './arguments.mjs';

if (title !== undefined) await buildQuickly();
else for (const script of ['build', 'build:memory']) runScript(script);
await import('./run.mjs');

function runScript(name) {
  const { status } = spawnSync('npm', ['run', '--silent', name], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (status !== 0) process.exit(status ?? 1);
}
