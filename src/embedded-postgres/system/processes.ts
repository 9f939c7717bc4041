import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { plainEnvironment } from './environment.js';

/**
 * Tells a process from a later one with the same number. Undefined when there is none (a process that has ended
 * but was not waited for yet counts as none).
 */
export function processIdentity(pid: number): string | undefined {
  const started = process.platform === 'linux' ? startedOnLinux(pid) : startedElsewhere(pid);
  return started && createHash('sha256').update(started).digest('hex').slice(0, 16);
}

function startedOnLinux(pid: number): string | undefined {
  try {
    // The name in parentheses can hold anything, even parentheses: what follows the last one is regular.
    const [state, ...rest] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    if (state === 'Z' || state === 'X') return undefined;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')} ${rest[18]}`;
  } catch {
    return undefined;
  }
}

function startedElsewhere(pid: number): string | undefined {
  const line = ps(pid, 'stat=,lstart=');
  return line === '' || line.startsWith('Z') ? undefined : line.replace(/^\S+\s+/, '');
}

/** Whether the process is a Postgres (postmaster or backend) at work on the data folder. */
export function isPostgresOn(data: string, pid: number): boolean {
  if (process.platform !== 'linux') {
    const command = ps(pid, 'command=');
    return command.includes('postgres') && command.includes(data);
  }
  try {
    // A shell may stand in the folder as well; and a path says less than the folder itself.
    if (!/^postgres|^postmaster/.test(readFileSync(`/proc/${pid}/comm`, 'utf8'))) return false;
    const there = statSync(`/proc/${pid}/cwd`);
    const here = statSync(data);
    return there.ino === here.ino && there.dev === here.dev;
  } catch {
    return false;
  }
}

/** All processes of Postgres at work on the data folder. Empty where the system does not tell (no /proc). */
export function postgresProcessesOn(data: string): number[] {
  if (process.platform !== 'linux') return [];
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => isPostgresOn(data, pid));
  } catch {
    return [];
  }
}

/** Whether the signal reached a process. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

function ps(pid: number, columns: string): string {
  return (
    spawnSync('ps', ['-o', columns, '-p', String(pid)], { env: plainEnvironment(), encoding: 'utf8' }).stdout?.trim() ??
    ''
  );
}
