import { closeSync, constants, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../system/errors.js';
import { readPlainFile } from '../system/own-files.js';
import { processIdentity } from '../system/processes.js';
import { runningPostmaster } from './postmaster-file.js';

/** One guardian at a time works on a folder. */
export interface FolderClaim {
  running(): void;
  /** From now on others who want the folder wait for its release. */
  stopping(): void;
  release(): void;
}

const { O_CREAT, O_NOFOLLOW, O_TRUNC, O_WRONLY } = constants;

type State = 'asking' | 'starting' | 'running' | 'stopping';

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
  let held = false;
  const release = () => {
    held = false;
    rmSync(flag, { force: true });
  };
  // These only tell others whether waiting makes sense: no reason to fail, say, when the folder was deleted meanwhile.
  const show = (state: State) => () => {
    if (held) tryWriteFlag(flag, state);
  };
  for (;;) {
    signal.throwIfAborted();
    const problem = tryWriteFlag(flag, 'asking');
    if (problem) throw new Failure('POSTBUS_EMBEDDED_FOLDER', folder, problem);
    const rival = liveFlags(folder).find((other) => other.path !== flag);
    if (!rival) {
      held = true;
      show('starting')();
      return { running: show('running'), stopping: show('stopping'), release };
    }
    release();
    const postmaster = runningPostmaster(join(folder, 'data'));
    // One whose parent or postmaster has just died will go as well.
    const staying = rival.parentAlive && (rival.state === 'starting' || (rival.state === 'running' && postmaster));
    if (staying || Date.now() > deadline) {
      throw new Failure('POSTBUS_EMBEDDED_BUSY', folder, String(postmaster ?? rival.guardian));
    }
    // Random, or two that ask at the same time would step back from each other for ever.
    await sleep(10 + Math.random() * 60, undefined, { signal });
  }
}

const flagPattern = /^guardian\.(\d+)\.(\w+)\.(\d+)\.(\w+)$/;

function flagName(guardian: number, parent: number): string {
  return `guardian.${guardian}.${processIdentity(guardian) ?? 'unknown'}.${parent}.${processIdentity(parent) ?? 'gone'}`;
}

function tryWriteFlag(flag: string, state: State): string | undefined {
  try {
    const file = openSync(flag, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW);
    try {
      writeFileSync(file, state);
    } finally {
      closeSync(file);
    }
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
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
    return readPlainFile(path);
  } catch {
    return undefined;
  }
}
