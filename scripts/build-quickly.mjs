// Builds dist/ in about a second, without checking types: for a change that is to be seen at once. `npm run build` checks them.
import { execFile } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../', import.meta.url));
// The script for browsers is a bundle, which `build:script` makes: both must not write the same file.
const bundled = join('client', 'message-bus.ts');

export async function buildQuickly() {
  // The compiler would take what is written here for its own.
  rmSync(join(root, 'dist', 'build.tsbuildinfo'), { force: true });
  const sources = readdirSync(join(root, 'src'), { recursive: true });
  await Promise.all([
    build({
      absWorkingDir: root,
      entryPoints: sources.filter((path) => path.endsWith('.ts') && path !== bundled).map((path) => join('src', path)),
      outbase: 'src',
      outdir: 'dist',
      format: 'esm',
      target: 'es2022',
      sourcemap: true,
      logLevel: 'warning',
    }),
    promisify(execFile)('npm', ['run', '--silent', 'build:script'], { cwd: root, shell: process.platform === 'win32' }),
  ]);
}
