import { readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The arguments with which Node runs the guardian. */
export function guardianCommand(): string[] {
  const here = new URL('./', import.meta.url);
  if (!import.meta.url.endsWith('.ts')) return [program('guardian.js', here)];
  // Run from source (by tests), the compiled guardian starts ten times as fast. The other way needs the loader of this process.
  const compiled = new URL('../../dist/embedded-postgres/', here);
  if (isUpToDate(compiled, here)) return [program('guardian.js', compiled)];
  return [...process.execArgv, program('guardian.ts', here)];
}

function isUpToDate(compiled: URL, source: URL): boolean {
  return readdirSync(source).every((name) => {
    const built = statSync(new URL(name.replace(/\.ts$/, '.js'), compiled), { throwIfNoEntry: false });
    return built !== undefined && built.mtimeMs >= statSync(new URL(name, source)).mtimeMs;
  });
}

function program(name: string, folder: URL): string {
  return fileURLToPath(new URL(name, folder));
}
