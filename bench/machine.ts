import { execFileSync } from 'node:child_process';
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { now } from './generator/clock.js';
import { median } from './measurement.js';

/** What the figures depend on. */
export interface Machine {
  cpu: string;
  cores: number;
  memoryGb: number;
  system: string;
  node: string;
  postgres: string;
  /** Where Postgres writes: the file system, and ms for a page to get to the disk. */
  fileSystem: string;
  syncMs: number;
}

const fileSystems: Record<number, string> = {
  61267: 'ext4',
  16914836: 'tmpfs',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  801189825: 'zfs',
  2035054128: 'overlayfs',
};

export function describeMachine(postgres: string): Machine {
  const folder = tmpdir();
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    node: process.versions.node,
    postgres,
    fileSystem: fileSystems[statfsSync(folder).type] ?? 'file system',
    syncMs: measureSync(folder),
  };
}

/** The commit that is checked out; with a + where files differ from it. */
export function describeCommit(root: string): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  try {
    const changed = git(
      'status',
      '--porcelain',
      '--untracked-files=no',
      '--',
      'src',
      'sql',
      'migrations',
      'bench/**/*.ts',
    );
    return git('rev-parse', '--short', 'HEAD') + (changed === '' ? '' : '+');
  } catch {
    return 'unknown';
  }
}

function measureSync(below: string): number {
  const folder = mkdtempSync(join(below, 'postbus-bench-'));
  const file = openSync(join(folder, 'page'), 'w');
  const page = Buffer.alloc(8192);
  const times = Array.from({ length: 50 }, () => {
    const started = now();
    writeSync(file, page, 0, page.length, 0);
    fdatasyncSync(file);
    return (now() - started) / 1000;
  });
  closeSync(file);
  rmSync(folder, { recursive: true });
  return median(times);
}
