import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { closeSync, existsSync, realpathSync } from 'node:fs';
import { type Account, asRoot, canRead } from './account.js';
import { plainEnvironment } from './environment.js';
import { Failure } from './errors.js';
import { openPlainFolder } from './own-files.js';

const handedOver = '/proc/self/fd/3';

/** How Postgres, started by spawnOnData() as the account, can name the folder. */
export function nameForPostgres(data: string, account: Account | undefined): string {
  // What leads to an open folder of this process leads elsewhere in another one.
  const name = data.startsWith('/proc/self/') ? realpathSync(data) : data;
  if (canRead(account, name)) return name;
  // A folder above may be closed to the account; what it is handed open is open to it all the same.
  if (existsSync('/proc/self/fd')) return handedOver;
  const wayOut = 'use a folder that others can enter, start as an ordinary user, or set DATABASE_URL';
  throw new Failure(
    'POSTBUS_EMBEDDED_FOLDER',
    data,
    `user ${account?.uid}, as whom root starts Postgres, cannot enter it: ${wayOut}`,
  );
}

/**
 * Starts a program of Postgres that works on the folder, but not in it: version 15 leaves its working directory to look for its
 * other programs, and could not come back to a folder below a closed one.
 */
export function spawnOnData(
  data: string,
  account: Account | undefined,
  program: string,
  parameters: readonly string[],
  { stdio, env, ...options }: SpawnOptions & { stdio: ['ignore', 'pipe' | number, number] },
): ChildProcess {
  const folder = openPlainFolder(data);
  if (folder === undefined) throw new Failure('POSTBUS_EMBEDDED_FOLDER', data, 'it was moved away meanwhile');
  try {
    return asRoot(() =>
      spawn(program, parameters, {
        ...options,
        ...account,
        cwd: '/',
        env: { ...plainEnvironment(), ...env },
        stdio: [...stdio, folder],
      }),
    );
  } finally {
    closeSync(folder);
  }
}
