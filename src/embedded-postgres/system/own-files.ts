import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { Failure } from './errors.js';

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/**
 * Opens what really is a file at this place: no link, which may lead anywhere, no pipe, which would keep us waiting; and for root, no
 * second name of somebody else's file. Undefined if nothing is there.
 */
export function openPlainFile(path: string): number | undefined {
  const file = openNoFollow(path, O_RDONLY | O_NONBLOCK);
  if (file === undefined) return undefined;
  const stats = fstatSync(file);
  const isShared = stats.nlink > 1 && process.geteuid?.() === 0;
  if (stats.isFile() && !isShared) return file;
  closeSync(file);
  throw refusal(path, isShared ? 'has another name elsewhere (a hard link)' : 'is not a file');
}

/** The text of a plain file; undefined if nothing is there. */
export function readPlainFile(path: string): string | undefined {
  const file = openPlainFile(path);
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}

/** Opens a folder that is no link to one. Undefined if nothing is there. */
export function openPlainFolder(path: string): number | undefined {
  return openNoFollow(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
}

/** Does something in a folder that is no link to one, by a path that leads to that very folder. Undefined if nothing is there. */
export function inPlainFolder<Result>(path: string, action: (inside: string) => Result): Result | undefined {
  const folder = openPlainFolder(path);
  if (folder === undefined) return undefined;
  try {
    return action(pathOfOpen(folder, path));
  } finally {
    closeSync(folder);
  }
}

/**
 * The path of an open folder, which leads to that very folder whatever happens to its name meanwhile. Where the system has no
 * /proc, the name has to do.
 */
export function pathOfOpen(folder: number, name: string): string {
  return process.platform === 'linux' ? `/proc/self/fd/${folder}` : name;
}

export function refusal(path: string, reason: string): Failure {
  return new Failure('POSTBUS_EMBEDDED_FOLDER', path, `it ${reason}: move it away`);
}

function openNoFollow(path: string, flags: number): number | undefined {
  try {
    return openSync(path, flags | O_NOFOLLOW);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return undefined;
    if (code === 'ELOOP' || code === 'ENOTDIR') throw refusal(path, 'is a link, or not a folder');
    // A socket.
    if (code === 'ENXIO') throw refusal(path, 'is not a file');
    throw error;
  }
}
