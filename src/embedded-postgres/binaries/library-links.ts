import { existsSync, lstatSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

interface Link {
  readonly path: string;
  readonly target: string;
}

/**
 * Makes the links between shared libraries that lack. npm packages hold none: a script of the package makes them, unless npm
 * was told to run no scripts. Answers whether all are there in the end.
 */
export function completeLibraryLinks(native: string): boolean {
  for (const { path, target } of readLinks(native)) {
    if (isThere(path)) continue;
    try {
      symlinkSync(relative(dirname(path), target), path);
    } catch {
      // Somebody else was faster, or the folder may not be written to.
      if (!isThere(path)) return false;
    }
  }
  return true;
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function readLinks(native: string): Link[] {
  const list = join(native, 'pg-symlinks.json');
  const entries: unknown = existsSync(list) ? JSON.parse(readFileSync(list, 'utf8')) : [];
  return Array.isArray(entries) ? entries.flatMap((entry) => readLink(native, entry)) : [];
}

/** The list names the link "target" and what it leads to "source", both as paths in the package. */
function readLink(native: string, entry: unknown): Link[] {
  if (typeof entry !== 'object' || entry === null || !('source' in entry) || !('target' in entry)) return [];
  const { source, target } = entry;
  if (typeof source !== 'string' || typeof target !== 'string') return [];
  const inNative = (path: string) => join(native, path.replace(/^native\//, ''));
  return [{ path: inNative(target), target: inNative(source) }];
}
