import { closeSync, fchownSync, fstatSync, lchownSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Account } from '../system/account.js';
import { openPlainFile, openPlainFolder, pathOfOpen, refusal } from '../system/own-files.js';

/**
 * Gives data to the account that were copied by root, and so belong to root. What is given away is looked at first, all of it: a
 * tree that holds anything but folders, plain files and links of root's or of the account's stays as it is. Each file is
 * opened before it is looked at, so that nothing can take its place in between; links are not followed.
 */
export function giveTreeTo(account: Account, path: string): void {
  walk(account, path, () => {});
  walk(account, path, (file) => fchownSync(file, account.uid, account.gid));
}

function walk(account: Account, path: string, visit: (descriptor: number) => void): void {
  const folder = openPlainFolder(path);
  if (folder === undefined) return;
  try {
    checkOwner(account, path, fstatSync(folder).uid);
    const inside = pathOfOpen(folder, path);
    for (const entry of readdirSync(inside, { withFileTypes: true })) {
      const inner = join(inside, entry.name);
      const shown = join(path, entry.name);
      if (entry.isDirectory()) walk(account, inner, visit);
      else if (entry.isSymbolicLink()) checkOwner(account, shown, lstatSync(inner).uid);
      else visitFile(account, inner, visit);
    }
    visit(folder);
  } finally {
    closeSync(folder);
  }
}

function visitFile(account: Account, path: string, visit: (descriptor: number) => void): void {
  const file = openPlainFile(path);
  if (file === undefined) return;
  try {
    checkOwner(account, path, fstatSync(file).uid);
    visit(file);
  } finally {
    closeSync(file);
  }
}

function checkOwner(account: Account, path: string, uid: number): void {
  if (uid !== 0 && uid !== account.uid) throw refusal(path, `belongs to user ${uid}`);
}

/** Gives away what was made a moment ago in a folder of root's. */
export function giveTo(account: Account | undefined, path: string): void {
  if (account && process.geteuid?.() === 0) lchownSync(path, account.uid, account.gid);
}
