// Compiles tests and benchmarks, once for all: a compiler in each test's process took longer than most of the tests.
import { cpSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Where the JavaScript of a file of tests is. */
export function compiled(file) {
  return file.replace(/^test/, 'dist-test').replace(/ts$/, 'js');
}

const root = fileURLToPath(new URL('../', import.meta.url));

/** Into folders beside their own, where relative paths lead to the same places; `src/` they find built, in `dist/`. */
export async function compile() {
  await compileFolder('test', 'dist-test');
  await compileFolder('bench', 'dist-bench');
  await bundleTap();
}

async function compileFolder(from, to) {
  const isTypeScript = (path) => path.endsWith('.ts');
  cpSync(join(root, from), join(root, to), { recursive: true, filter: (path) => !isTypeScript(path) });
  const sources = readdirSync(join(root, from), { recursive: true }).filter(isTypeScript);
  await build({
    absWorkingDir: root,
    entryPoints: sources.map((path) => join(from, path)),
    outbase: from,
    outdir: to,
    format: 'esm',
    target: 'node20',
    sourcemap: true,
    logLevel: 'warning',
    // For its imports to be resolved, all of which stay imports.
    bundle: true,
    plugins: [{ name: 'built', setup: resolveToBuilt }],
  });
}

function resolveToBuilt({ onResolve }) {
  onResolve({ filter: /./ }, ({ kind, path }) => {
    if (kind === 'entry-point') return;
    return { path: path.replace(/^((?:\.\.\/)+)(src|bench)\//, replaceFolder), external: true };
  });
}

function replaceFolder(_, up, folder) {
  return `${up}${folder === 'src' ? 'dist' : 'dist-bench'}/`;
}

/**
 * tap in one file, which loads in half the CPU that its 260 files take: each file of tests loads it. Node finds it before the one
 * in `node_modules/`. tap leaves lines out of a stack whose path has `node_modules/@tapjs`.
 */
async function bundleTap() {
  const folder = join(root, 'dist-test/node_modules/tap');
  const main = 'node_modules/@tapjs/tap.js';
  await build({
    absWorkingDir: root,
    stdin: { contents: "export * from 'tap'; export { default } from 'tap';", resolveDir: root },
    outfile: join(folder, main),
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'warning',
    bundle: true,
    // For the CommonJS modules among them.
    banner: { js: "import * as module from 'node:module'; const require = module.createRequire(import.meta.url);" },
  });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', main }));
}
