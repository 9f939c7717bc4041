import { readFile } from 'node:fs/promises';
import { errors } from '../errors.js';
import { type Arguments, environment } from './command.js';

/** Where a running `postbus serve` of this folder keeps the address of its embedded Postgres. */
const embeddedUrlFile = '.postbus/url';

export function givenDatabaseUrl(args: Arguments): string | undefined {
  return args.text('database-url') ?? environment('DATABASE_URL');
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
