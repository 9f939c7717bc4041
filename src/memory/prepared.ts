import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { printMigration } from '../database/migrate/migrate.js';

/** The schema in the prepared data directory. */
export const preparedSchema = 'message_bus';

/**
 * Resolves to the URL of the file with a data directory of PGlite in which a bus is migrated. Loading it takes a
 * quarter of the time in which PGlite makes a directory by initdb. The name of the file has the version of PGlite
 * without the patch level, because later patches have to open the directories that earlier ones have left to their
 * users; and a digest of all the SQL.
 */
export async function preparedFile(): Promise<URL> {
  const sql = await printMigration(preparedSchema);
  const digest = createHash('sha256').update(sql).digest('hex').slice(0, 16);
  const version = (await pgliteVersion()).replace(/\.[^.]*$/, '');
  return new URL(`./pglite-${version}-${digest}.tar.br`, import.meta.url);
}

/** Resolves to the tar of the prepared data directory; undefined if there is none that fits. */
export async function readPrepared(): Promise<Buffer | undefined> {
  try {
    return await promisify(brotliDecompress)(await readFile(await preparedFile()));
  } catch {
    // This is another PGlite, a bundle without the file, or a build without `build:memory`: PGlite then makes a data
    // directory itself.
    return undefined;
  }
}

/** Resolves to the version of PGlite. We find package.json by its path, because the package does not export it. */
async function pgliteVersion(): Promise<string> {
  const main = createRequire(import.meta.url).resolve('@electric-sql/pglite');
  const manifest = main.replace(/dist[\\/][^\\/]*$/, 'package.json');
  return JSON.parse(await readFile(manifest, 'utf8')).version;
}
