import { randomBytes } from 'node:crypto';
import { lstatSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readPlainFile } from '../system/own-files.js';

/** The same for all starts on the folder, known before there are data, so that a start that breaks off changes nothing. */
export function readPassword(folder: string): string {
  const path = passwordPath(folder);
  const known = readPlainFile(path)?.trim();
  if (known) return known;
  const password = randomBytes(24).toString('base64url');
  writePrivateFile(path, password);
  return password;
}

export function passwordPath(folder: string): string {
  return join(folder, 'password');
}

/** Where an operator finds the address, and the next start the port. */
export function writeUrl(folder: string, url: string): void {
  writePrivateFile(join(folder, 'url'), url);
}

export function readLastPort(folder: string): number | undefined {
  try {
    return Number(new URL(readPlainFile(join(folder, 'url'))?.trim() ?? '').port) || undefined;
  } catch {
    return undefined;
  }
}

/** What is in the folder is nothing for anybody's repository. */
export function writeGitignore(folder: string): void {
  const path = join(folder, '.gitignore');
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) writeFileSync(path, '*\n', { flag: 'wx' });
}

/** Complete or not at all, and also where the present file belongs to another user. */
function writePrivateFile(path: string, text: string): void {
  const draft = `${path}.new`;
  rmSync(draft, { force: true });
  writeFileSync(draft, `${text}\n`, { mode: 0o600, flag: 'wx' });
  renameSync(draft, path);
}
