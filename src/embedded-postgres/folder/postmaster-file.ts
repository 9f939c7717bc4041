import { join } from 'node:path';
import { readPlainFile } from '../system/own-files.js';
import { isPostgresOn } from '../system/processes.js';

/** The lock file that Postgres keeps while it runs, and leaves behind when it is killed. */
export interface PostmasterFile {
  /** Undefined: an empty or broken file, as a crash of the machine can leave it. */
  readonly pid: number | undefined;
  readonly status: string;
}

export function postmasterFilePath(data: string): string {
  return join(data, 'postmaster.pid');
}

export function readPostmasterFile(data: string): PostmasterFile | undefined {
  let lines: string[];
  try {
    const text = readPlainFile(postmasterFilePath(data));
    if (text === undefined) return undefined;
    lines = text.split('\n');
  } catch {
    return undefined;
  }
  // A single-user server writes its pid as a negative number.
  const pid = Math.abs(Number(lines[0]));
  return { pid: Number.isSafeInteger(pid) && pid > 0 ? pid : undefined, status: lines[7]?.trim() ?? '' };
}

/** Its pid, when the file speaks of a Postgres that really works on this folder, and not of a process that got the same pid. */
export function runningPostmaster(data: string): number | undefined {
  const pid = readPostmasterFile(data)?.pid;
  return pid !== undefined && isPostgresOn(data, pid) ? pid : undefined;
}
