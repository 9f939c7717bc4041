import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Arena } from '../arena.js';
import { Skipped, type Stage } from '../stage.js';
import type { Scenario } from './scenario.js';

export const diskFull: Scenario = {
  name: 'disk-full',
  title: 'The disk of Postgres is full for seconds: publishers are refused, and nothing that was acknowledged is lost',
  async run(stage) {
    const folder = mountSmallDisk(stage);
    const arena = await Arena.open(stage, { folder, settings: { max_wal_size: '64MB', min_wal_size: '32MB' } });
    const filler = join(folder, 'filler');
    await stage.keep(async () => {
      fill(filler);
      stage.made('times full');
      await delay(stage.random.between(500, 2_000));
      // What Postgres frees meanwhile, by a checkpoint for example, is taken as well.
      fill(filler);
      await delay(500);
      rmSync(filler);
      await arena.postgres.ensureRunning();
    }, 1_000);
    await arena.settle();
  },
};

/** A file system in memory, of a size that fills soon. */
function mountSmallDisk(stage: Stage): string {
  const folder = stage.folder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=400m,mode=755', 'tmpfs', folder], { stdio: 'pipe' });
  } catch {
    throw new Skipped('needs root, and the right to mount a tmpfs');
  }
  stage.teardown(() => execFileSync('umount', ['--lazy', folder]));
  return folder;
}

/** Takes all the space that there is. */
function fill(path: string): void {
  const file = openSync(path, 'a');
  try {
    for (const size of [1_048_576, 4_096]) {
      const block = Buffer.alloc(size);
      try {
        while (writeSync(file, block) === size);
      } catch {
        // Full, but for less than a block.
      }
    }
  } finally {
    closeSync(file);
  }
}
