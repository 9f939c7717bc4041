import { existsSync, fstatSync, lstatSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Account, accountOf, becomeOwner } from '../system/account.js';
import { Failure } from '../system/errors.js';
import { openPlainFolder, pathOfOpen } from '../system/own-files.js';

/** The folder that keeps data, password, log and address, and who may work in it. */
export interface Place {
  /** For all that is done in it: of a folder of root's, the open folder itself, which nobody can put another in place of. */
  readonly path: string;
  /** Set where root found a folder of somebody else: from then on this process acts as that user. */
  readonly owner: Account | undefined;
}

/**
 * Opens the folder, or makes it. Whoever owns a folder can put links, pipes and other people's files there at any moment. So in
 * a folder that belongs to a user, or is to be made in a folder of that user, root does nothing as root: this process acts
 * as that user from here on, and so does Postgres. In a folder of root's own, to which nobody else may write, root works as
 * root, and Postgres has an account of its own for the data.
 */
export function openPlace(folder: string): Place {
  if (process.geteuid?.() !== 0) {
    mkdirSync(folder, { recursive: true });
    return { path: folder, owner: undefined };
  }
  const foreign = foreignOwner(folder);
  if (foreign !== undefined) return openAs(foreign, folder);
  mkdirSync(folder, { recursive: true });
  const open = openPlainFolder(isOwnLink(folder) ? realpathSync(folder) : folder);
  if (open === undefined) throw new Failure('POSTBUS_EMBEDDED_FOLDER', folder, 'it was moved away meanwhile');
  const { uid, mode } = fstatSync(open);
  // Swapped a moment ago.
  if (uid !== 0) return openAs(uid, folder);
  if (mode & 0o022) {
    const wayOut = 'others may write to this folder of root: chmod go-w it';
    throw new Failure('POSTBUS_EMBEDDED_FOLDER', folder, wayOut);
  }
  return { path: pathOfOpen(open, folder), owner: undefined };
}

/** Whether it is a link that root has made, in a place where nobody else can make it another one. */
function isOwnLink(folder: string): boolean {
  const link = lstatSync(folder, { throwIfNoEntry: false });
  const above = lstatSync(dirname(folder), { throwIfNoEntry: false });
  if (!link?.isSymbolicLink() || link.uid !== 0 || above?.uid !== 0) return false;
  return (above.mode & 0o022) === 0 || (above.mode & 0o1000) !== 0;
}

function openAs(uid: number, folder: string): Place {
  const owner = accountOf(uid);
  becomeOwner(owner);
  mkdirSync(folder, { recursive: true });
  return { path: folder, owner };
}

/** Who owns the folder, the link that leads to it, or what it is to be made in, if that is not root. */
function foreignOwner(folder: string): number | undefined {
  const there = lstatSync(folder, { throwIfNoEntry: false });
  if (there === undefined) {
    let above = dirname(folder);
    while (!existsSync(above) && above !== dirname(above)) above = dirname(above);
    return statSync(above).uid || undefined;
  }
  return there.uid || statSync(folder, { throwIfNoEntry: false })?.uid || undefined;
}
