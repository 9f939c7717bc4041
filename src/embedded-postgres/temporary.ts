import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

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

export function removeFolders(paths: readonly string[]): void {
  for (const path of paths) {
    try {
      // A backend that is just going down may still write: then the folder is not empty at the first attempt.
      rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    } catch {
      // Nothing is left to be done about it, and the other folders must go too.
    }
  }
}
