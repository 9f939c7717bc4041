import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { EmbeddedPostgres } from '../../../src/embedded-postgres/index.js';
import { withClient } from './client.js';

/** Debian's libfaketime; undefined if it is not installed. */
export function findFaketime(): string | undefined {
  if (process.platform !== 'linux' || !existsSync('/usr/lib')) return undefined;
  const folders = readdirSync('/usr/lib').map((name) => join('/usr/lib', name, 'faketime', 'libfaketime.so.1'));
  return folders.find((path) => existsSync(path));
}

/** The clock of one server, which can be set. */
export class FakedClock {
  readonly #file: string;

  constructor(
    private readonly library: string,
    folder: string,
  ) {
    // For Postgres, which runs under another account if root runs this.
    chmodSync(folder, 0o755);
    this.#file = join(folder, 'clock');
    this.set(0);
  }

  /** So many seconds before or after the true time, from now on. */
  set(seconds: number): void {
    writeFileSync(this.#file, `${seconds < 0 ? '' : '+'}${seconds}\n`, { mode: 0o644 });
  }

  get environment(): NodeJS.ProcessEnv {
    return {
      LD_PRELOAD: this.library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      // Timeouts and sleeps go on as they are, as they do when the clock of a machine is set.
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }
}

/**
 * Stops an embedded Postgres and starts the same program with the same arguments, but by another clock. The embedded one cannot
 * be told to, because it hands no variables on.
 */
export async function restartByClock(
  server: EmbeddedPostgres,
  data: string,
  clock: FakedClock,
): Promise<EmbeddedPostgres> {
  const { postmasterPid, url, port } = server;
  const program = readlinkSync(`/proc/${postmasterPid}/exe`);
  const [, ...parameters] = readFileSync(`/proc/${postmasterPid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  const { uid, gid } = statSync(data);
  await server.stop();
  // Its lock file belongs to the server that has just ended.
  execFileSync('rm', ['-f', join(data, 'postmaster.pid')]);

  const child = spawn(program, parameters, {
    uid,
    gid,
    cwd: '/',
    env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC', ...clock.environment },
    stdio: 'ignore',
  });
  const exited = once(child, 'exit');
  const stop = async () => {
    child.kill('SIGINT');
    await exited;
  };
  const end = Date.now() + 20_000;
  while (!(await withClient(url, () => Promise.resolve(true)).catch(() => false))) {
    if (child.exitCode !== null || Date.now() > end) {
      await stop();
      throw new Error('Postgres does not start by the other clock');
    }
    await delay(20);
  }
  return { url, port, postmasterPid: child.pid ?? 0, stopped: exited.then(() => {}), stop };
}
