import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Account, giveTo, giveTreeTo } from './account.js';
import type { Binaries } from './binaries.js';
import { Failure } from './errors.js';
import { readPassword } from './private-files.js';
import type { ServerLog } from './server-log.js';
import { nameForPostgres, spawnOnData } from './spawn-on-data.js';

export interface DataFolder {
  /** Holds the data, the password, the log, the address. */
  readonly folder: string;
  readonly data: string;
  /** Whether what is written must survive a crash of the machine. */
  readonly durable: boolean;
  readonly account: Account | undefined;
  readonly binaries: Binaries;
  readonly log: ServerLog;
}

const initFolders = 'init-';

/** Makes the data ready for a start, whatever state an earlier run has left them in, and answers the password. */
export async function prepareData(options: DataFolder): Promise<string> {
  const { folder, data, account } = options;
  for (const name of readdirSync(folder)) {
    if (name.startsWith(initFolders)) rmSync(join(folder, name), { recursive: true, force: true });
  }
  const password = readPassword(folder);
  if (!existsSync(data) || readdirSync(data).length === 0) {
    const init = mkdtempSync(join(folder, initFolders));
    await initialize(init, password, options);
    renameSync(join(init, 'data'), data);
    rmSync(init, { recursive: true });
  }
  // Root may have copied them here.
  if (account && statSync(data).uid !== account.uid) giveTreeTo(account, data);
  checkVersion(data, options.binaries.major);
  return password;
}

/** Done beside the place where the data will be, so that there they are complete or not at all. */
async function initialize(
  init: string,
  password: string,
  { durable, account, binaries, log }: DataFolder,
): Promise<void> {
  const data = join(init, 'data');
  const passwordFile = join(init, 'password');
  mkdirSync(data, { mode: 0o700 });
  writeFileSync(passwordFile, password, { mode: 0o600 });
  for (const path of [init, data, passwordFile]) giveTo(account, path);

  const locale = ['--no-locale', '--encoding=UTF8', ...localeProvider(binaries.major)];
  const name = nameForPostgres(data, account);
  const login = ['--username=postgres', `--pwfile=${name}/../password`, '--auth=scram-sha-256'];
  const rest = ['--no-instructions', ...(durable ? [] : ['--no-sync'])];
  const child = spawnOnData(data, account, binaries.initdb, ['-D', name, ...locale, ...login, ...rest], {
    stdio: ['ignore', log.descriptor, log.descriptor],
    // A group of its own: no signal that is sent to the guardian's group stops it halfway.
    detached: true,
  });
  const outcome = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(String(signal ?? code)));
  });
  if (outcome === '0') return;
  const said = log.tail();
  const wayOut = /could not look up .* user ID/.test(said)
    ? ': give the user a name in /etc/passwd, or set DATABASE_URL'
    : '';
  throw new Failure('POSTBUS_EMBEDDED_START', `initdb failed (${outcome})${wayOut}\n${said}`);
}

/** libc's locale C is there on every host; these providers know upper and lower case beyond ASCII nevertheless. */
function localeProvider(major: string): string[] {
  return Number(major) < 17
    ? ['--locale-provider=icu', '--icu-locale=und']
    : ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
}

function checkVersion(data: string, major: string): void {
  const path = join(data, 'PG_VERSION');
  if (!existsSync(path)) {
    throw new Failure('POSTBUS_EMBEDDED_FOLDER', data, 'it is neither empty nor made by Postgres: move it away');
  }
  const version = readFileSync(path, 'utf8').trim();
  if (version !== major) throw new Failure('POSTBUS_EMBEDDED_VERSION', data, version, major);
}
