import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Binaries } from '../binaries/binaries.js';
import { postmasterFilePath, readPostmasterFile, runningPostmaster } from '../folder/postmaster-file.js';
import type { Account } from '../system/account.js';
import { Failure } from '../system/errors.js';
import type { ServerLog } from '../system/server-log.js';
import { nameForPostgres } from '../system/spawn-on-data.js';
import { canLogIn } from './connection.js';
import { choosePort } from './ports.js';
import { endBackendsOn, type Postmaster, startPostmaster } from './postmaster.js';

export interface ServerOptions {
  readonly folder: string;
  readonly data: string;
  readonly password: string;
  readonly port: number | undefined;
  readonly lastPort: number | undefined;
  readonly settings: Readonly<Record<string, string>>;
  readonly account: Account | undefined;
  readonly binaries: Binaries;
  readonly log: ServerLog;
}

export interface Server {
  readonly port: number;
  readonly postmaster: Postmaster;
}

/** How long what is left of an earlier server may take to go away, and a start to show progress. */
const leftoverPatience = 15_000;
const startPatience = 30_000;
const portAttempts = 5;

export async function startServer(options: ServerOptions, signal: AbortSignal): Promise<Server> {
  const { data, log } = options;
  const begun = Date.now();
  let portsTaken = 0;
  for (;;) {
    signal.throwIfAborted();
    const bystander = await waitForOtherPostmaster(options, begun + leftoverPatience, signal);
    const port = await choosePort(options.port, portsTaken === 0 ? options.lastPort : undefined);
    const position = log.size();
    const postmaster = startPostmaster({
      program: options.binaries.postgres,
      arguments: serverArguments(options, port),
      account: options.account,
      data,
      bystander,
      logDescriptor: log.descriptor,
    });
    if (await becomesReady(postmaster, port, options, signal)) return { port, postmaster };

    await postmaster.gone;
    const said = log.tail(position);
    if (
      /pre-existing shared memory block|lock file "postmaster.pid"/.test(said) &&
      Date.now() - begun < leftoverPatience
    ) {
      // Backends of a killed postmaster: most leave by themselves, those in the middle of long work have to be told.
      if (Date.now() - begun > 2_000) endBackendsOn(data);
      await sleep(200, undefined, { signal });
      continue;
    }
    if (/could not bind IPv4 address/.test(said)) {
      // Somebody took the port after it was found free.
      if (options.port) throw new Failure('POSTBUS_EMBEDDED_PORT', String(options.port));
      portsTaken += 1;
      if (portsTaken < portAttempts) continue;
    }
    throw new Failure('POSTBUS_EMBEDDED_START', `it ended with ${postmaster.ending()}\n${said}`);
  }
}

/** Later settings win: the user's change neither the address nor the port. */
function serverArguments(options: ServerOptions, port: number): string[] {
  const settings = {
    ...options.settings,
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
  };
  return [
    '-D',
    nameForPostgres(options.data, options.account),
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
}

/**
 * The claim on the folder keeps other launchers away, but a server can have outlived its guardian, or be somebody else's.
 * Answers the pid that a stale lock file names.
 */
async function waitForOtherPostmaster(
  { folder, data }: ServerOptions,
  deadline: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  for (;;) {
    const running = runningPostmaster(data);
    const file = readPostmasterFile(data);
    if (running === undefined) {
      // Postgres itself gives up on a lock file that names nobody.
      if (file && file.pid === undefined) rmSync(postmasterFilePath(data), { force: true });
      return file?.pid;
    }
    if (file?.status !== 'stopping' || Date.now() > deadline) {
      throw new Failure('POSTBUS_EMBEDDED_BUSY', folder, String(running));
    }
    await sleep(100, undefined, { signal });
  }
}

/** False when it ended instead. */
async function becomesReady(
  postmaster: Postmaster,
  port: number,
  options: ServerOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const { folder, data, log, password } = options;
  let size = log.size();
  let deadline = Date.now() + startPatience;
  try {
    while (postmaster.ending() === undefined) {
      signal.throwIfAborted();
      const file = readPostmasterFile(data);
      if (file?.pid === postmaster.pid && file?.status === 'ready' && (await canLogIn(folder, port, password)))
        return true;
      // A long recovery reports its progress: it may take as long as it needs.
      if (log.size() !== size) {
        size = log.size();
        deadline = Date.now() + startPatience;
      }
      if (Date.now() > deadline) {
        throw new Failure('POSTBUS_EMBEDDED_START', `no sign of progress for ${startPatience / 1000} s\n${log.tail()}`);
      }
      await sleep(20);
    }
  } catch (error) {
    await postmaster.stop();
    throw error;
  }
  return false;
}
