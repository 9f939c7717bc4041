import { readFile } from 'node:fs/promises';
import { errors } from '../foundation/errors.js';
import { type Arguments, environment, UsageError } from './command.js';

/** The file in which a running `postbus serve` of this folder keeps the URL of its embedded Postgres. */
const embeddedUrlFile = '.postbus/url';

export function givenDatabaseUrl(args: Arguments): string | undefined {
  return givenUrl(args, 'database-url', 'DATABASE_URL');
}

/** Returns the URL for the listening connection, if one was given besides that of the database. @throws UsageError */
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
    // The message does not show the value, which may have a password in it.
    throw new UsageError(
      `${source} must look like postgres://user:password@host:5432/database, with special characters in the password as %xx`,
    );
  }
  return url;
}

/**
 * True if pg would connect to the right place. pg itself accepts nearly any text, and then looks for a host that nobody
 * has named.
 */
function isConnectionString(text: string): boolean {
  const isSocket = /^(\/|socket:)/.test(text);
  return isSocket || (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text));
}

/**
 * Resolves to the URL of the database that was given, or else of the embedded one of this folder.
 *
 * @throws POSTBUS_NO_DATABASE_URL
 */
export async function findDatabaseUrl(args: Arguments): Promise<string> {
  const given = givenDatabaseUrl(args);
  if (given !== undefined) return given;
  try {
    return (await readFile(embeddedUrlFile, 'utf8')).trim();
  } catch (error) {
    throw new errors.NO_DATABASE_URL(error instanceof Error ? error.message : String(error));
  }
}
