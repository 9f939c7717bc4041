import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { plainEnvironment } from './environment.js';

/** The folders to delete when the server is gone. */
export class TemporaryFolders {
  readonly paths: string[] = [];

  /** Others may enter it, so that an unprivileged Postgres reaches what it owns inside. */
  create(below: string): string {
    const path = mkdtempSync(join(below, 'postbus-'));
    this.paths.push(path);
    chmodSync(path, 0o755);
    return path;
  }

  remove(): void {
    removeFolders(this.paths.splice(0));
  }
}

/**
 * Removes a folder and all that is in it. Some of it belongs to the account of Postgres, which can put a link in the place of a
 * folder at any moment: Node, which goes by names, would follow it with root's rights. rm goes by open folders.
 */
export function removeTree(path: string): void {
  if (process.geteuid?.() !== 0) {
    // A backend that is just going down may still write: then the folder is not empty at the first attempt.
    rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    return;
  }
  for (let attempt = 0; attempt < 5 && existsSync(path); attempt++) {
    // By its name in the folder above: a path that goes through an open folder of this process leads elsewhere in rm's.
    spawnSync('rm', ['-rf', '--', `./${basename(path)}`], { env: plainEnvironment(), cwd: dirname(path) });
  }
}

export function removeFolders(paths: readonly string[]): void {
  for (const path of paths) {
    try {
      removeTree(path);
    } catch {
      // Nothing is left to be done about it, and the other folders must go too.
    }
  }
}
