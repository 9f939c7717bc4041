import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Binaries } from '../binaries/binaries.js';
import type { Account } from '../system/account.js';
import { Failure } from '../system/errors.js';
import { inPlainFolder, readPlainFile, refusal } from '../system/own-files.js';
import type { ServerLog } from '../system/server-log.js';
import { nameForPostgres, spawnOnData } from '../system/spawn-on-data.js';
import { removeTree } from '../system/temporary.js';
import { giveTo, giveTreeTo } from './give-away.js';
import { readPassword } from './private-files.js';

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
    if (name.startsWith(initFolders)) removeTree(join(folder, name));
  }
  const password = readPassword(folder);
  if (isMissingOrEmpty(data)) {
    const init = mkdtempSync(join(folder, initFolders));
    await initialize(init, password, options);
    renameSync(join(init, 'data'), data);
    removeTree(init);
  }
  const isRoots = account !== undefined && lstatSync(data).uid !== account.uid;
  checkVersion(data, options.binaries.major);
  // Root may have copied them here.
  if (isRoots) giveTreeTo(account, data);
  return password;
}

function isMissingOrEmpty(data: string): boolean {
  return (inPlainFolder(data, (inside) => readdirSync(inside)) ?? []).length === 0;
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
  for (const path of [data, passwordFile]) giveTo(account, path);
  // It stays root's: whoever owns a folder can put something else in the place of what is in it.
  if (account) chmodSync(init, 0o711);

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
  // Whoever owns the data may have put anything there. Root follows none of it; the owner may not even get as far as here,
  // where the folder above is root's alone.
  const version = inPlainFolder(data, (inside) => readPlainFile(join(inside, 'PG_VERSION')))?.trim();
  // Nothing of another file is shown.
  if (version === undefined || !/^\d{1,3}(\.\d{1,3})?$/.test(version)) {
    throw refusal(data, 'is neither empty nor made by Postgres');
  }
  if (version !== major) throw new Failure('POSTBUS_EMBEDDED_VERSION', data, version, major);
}
