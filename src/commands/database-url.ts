import { readFile } from 'node:fs/promises';
import { errors } from '../foundation/errors.js';
import { type Arguments, environment, UsageError } from './command.js';

/** Where a running `postbus serve` of this folder keeps the address of its embedded Postgres. */
const embeddedUrlFile = '.postbus/url';

export function givenDatabaseUrl(args: Arguments): string | undefined {
  return givenUrl(args, 'database-url', 'DATABASE_URL');
}

/** Another way to the database that was given, for the connection that listens. */
export function givenListenUrl(args: Arguments): string | undefined {
  const url = givenUrl(args, 'listen-database-url', 'LISTEN_DATABASE_URL');
  if (url !== undefined && givenDatabaseUrl(args) === undefined) {
    throw new UsageError('there is an address to listen on, and no database: set DATABASE_URL as well');
  }
  return url;
}

function givenUrl(args: Arguments, name: string, variable: string): string | undefined {
  const option = args.text(name);
  const url = option ?? environment(variable);
  if (url !== undefined && !isConnectionString(url)) {
    const source = option === undefined ? variable : `--${name}`;
    // Without the value: there may be a password in it.
    throw new UsageError(
      `${source} must look like postgres://user:password@host:5432/database, with special characters in the password as %xx`,
    );
  }
  return url;
}

/** pg takes nearly everything for one, and then looks for a host that nobody has named. */
function isConnectionString(text: string): boolean {
  const isSocket = /^(\/|socket:)/.test(text);
  return isSocket || (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text));
}

/** The database that was given, or the embedded one of this folder. */
export async function findDatabaseUrl(args: Arguments): Promise<string> {
  const given = givenDatabaseUrl(args);
  if (given !== undefined) return given;
  try {
    return (await readFile(embeddedUrlFile, 'utf8')).trim();
  } catch (error) {
    throw new errors.NO_DATABASE_URL(error instanceof Error ? error.message : String(error));
  }
}
