import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from './errors.js';
import { runningPostmaster } from './postmaster-file.js';
import { processIdentity } from './processes.js';

/** One guardian at a time works on a folder. */
export interface FolderClaim {
  /** From now on others who want the folder wait for its release. */
  stopping(): void;
  release(): void;
}

/** Long enough for the server of a killed process to shut down. */
const patience = 15_000;

/**
 * Every guardian first puts up a flag of its own, then looks for flags of others: of two at the same time at least
 * one sees the other. A flag carries the identities of its guardian and of the process that asked for it, so that flags of
 * dead guardians are known and can be taken down; a name never comes twice, so nobody takes down the flag of a living one.
 */
export async function claimFolder(folder: string, parent: number, signal: AbortSignal): Promise<FolderClaim> {
  const flag = join(folder, flagName(process.pid, parent));
  const deadline = Date.now() + patience;
  const release = () => rmSync(flag, { force: true });
  for (;;) {
    signal.throwIfAborted();
    writeFlag(folder, flag, 'asking');
    const rival = liveFlags(folder).find((other) => other.path !== flag);
    if (!rival) {
      writeFlag(folder, flag, 'holding');
      return { stopping: () => writeFlag(folder, flag, 'stopping'), release };
    }
    release();
    const staying = rival.state === 'holding' && rival.parentAlive;
    if (staying || Date.now() > deadline) {
      throw new Failure(
        'POSTBUS_EMBEDDED_BUSY',
        folder,
        String(runningPostmaster(join(folder, 'data')) ?? rival.guardian),
      );
    }
    // Random, or two that ask at the same time would step back from each other for ever.
    await sleep(10 + Math.random() * 60, undefined, { signal });
  }
}

const flagPattern = /^guardian\.(\d+)\.(\w+)\.(\d+)\.(\w+)$/;

function flagName(guardian: number, parent: number): string {
  return `guardian.${guardian}.${processIdentity(guardian) ?? 'unknown'}.${parent}.${processIdentity(parent) ?? 'gone'}`;
}

function writeFlag(folder: string, flag: string, state: 'asking' | 'holding' | 'stopping'): void {
  try {
    writeFileSync(flag, state, { mode: 0o644 });
  } catch (error) {
    throw new Failure('POSTBUS_EMBEDDED_FOLDER', folder, error instanceof Error ? error.message : String(error));
  }
}

function liveFlags(folder: string) {
  const flags = [];
  for (const name of readdirSync(folder)) {
    const [, guardian, guardianIdentity, parent, parentIdentity] = flagPattern.exec(name) ?? [];
    if (!guardian) continue;
    const path = join(folder, name);
    if (processIdentity(Number(guardian)) !== guardianIdentity) {
      rmSync(path, { force: true });
      continue;
    }
    const state = readIfThere(path);
    flags.push({ path, guardian, state, parentAlive: processIdentity(Number(parent)) === parentIdentity });
  }
  return flags;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
