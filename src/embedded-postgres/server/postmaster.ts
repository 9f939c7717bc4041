import { runningPostmaster } from '../folder/postmaster-file.js';
import type { Account } from '../system/account.js';
import { postgresProcessesOn, signalProcess } from '../system/processes.js';
import { spawnOnData } from '../system/spawn-on-data.js';
import { within } from '../system/wait.js';

/** The main process of Postgres, started as our child. */
export interface Postmaster {
  readonly pid: number | undefined;
  /** How it ended; undefined while it runs. */
  ending(): string | undefined;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
  /** Resolves when it and all its backends are gone. */
  readonly gone: Promise<void>;
  stop(): Promise<void>;
}

export interface PostmasterOptions {
  readonly program: string;
  readonly arguments: readonly string[];
  readonly account: Account | undefined;
  readonly data: string;
  /** A process that the lock file may name although it is no Postgres. */
  readonly bystander: number | undefined;
  readonly logDescriptor: number;
}

export function startPostmaster(options: PostmasterOptions): Postmaster {
  const { program, account, data, bystander, logDescriptor } = options;
  const child = spawnOnData(data, account, program, options.arguments, {
    // Postgres does not take the process with this number for a rival, as it would when it lives and has the same user.
    env: bystander === undefined ? {} : { PG_GRANDPARENT_PID: String(bystander) },
    // Nothing is written to the pipe, but it closes when the last backend is gone.
    stdio: ['ignore', 'pipe', logDescriptor],
  });
  let ending: string | undefined;
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      ending ??= error.message;
      resolve();
    });
    child.once('exit', (code, signal) => {
      ending ??= signal ? `signal ${signal}` : `exit code ${code}`;
      resolve();
    });
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const gone = ended.then(() => backendsGone(closed, data));
  return {
    pid: child.pid,
    ending: () => ending,
    ended,
    gone,
    async stop() {
      // Fast, immediate, and by force.
      for (const [signal, patience] of [
        ['SIGINT', 10_000],
        ['SIGQUIT', 6_000],
        ['SIGKILL', 2_000],
      ] as const) {
        if (ending === undefined) child.kill(signal);
        if (await within(ended, patience)) break;
      }
      await gone;
    },
  };
}

/** Backends see that the postmaster was killed, except in the middle of long work: these are told. */
async function backendsGone(closed: Promise<void>, data: string): Promise<void> {
  if (await within(closed, 2_000)) return;
  endBackendsOn(data);
  await within(closed, 5_000);
}

/** What is left of a server whose postmaster is dead. Spares a new one that has taken its place. */
export function endBackendsOn(data: string): void {
  if (runningPostmaster(data) !== undefined) return;
  for (const pid of postgresProcessesOn(data)) signalProcess(pid, 'SIGQUIT');
}
