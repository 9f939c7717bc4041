import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { printMigration } from '../database/migrate/migrate.js';

/** The schema of a prepared data directory. */
export const preparedSchema = 'message_bus';

/**
 * The file with a data directory of PGlite in which a bus is migrated. To load it takes a quarter of what PGlite takes to
 * make one, which runs initdb. Its name tells what it fits: the version of PGlite without the patch level, because later ones
 * have to open the folders that earlier ones have left to their users, and a digest of all the SQL.
 */
export async function preparedFile(): Promise<URL> {
  const sql = await printMigration(preparedSchema);
  const digest = createHash('sha256').update(sql).digest('hex').slice(0, 16);
  const version = (await pgliteVersion()).replace(/\.[^.]*$/, '');
  return new URL(`./pglite-${version}-${digest}.tar.br`, import.meta.url);
}

/** The tar of the prepared data directory; undefined if there is none that fits. */
export async function readPrepared(): Promise<Buffer | undefined> {
  try {
    return await promisify(brotliDecompress)(await readFile(await preparedFile()));
  } catch {
    // Another PGlite, a bundle without the file, or a build without `build:memory`: PGlite makes a data directory itself.
    return undefined;
  }
}

/** The package's exports do not lead to its package.json. */
async function pgliteVersion(): Promise<string> {
  const main = createRequire(import.meta.url).resolve('@electric-sql/pglite');
  const manifest = main.replace(/dist[\\/][^\\/]*$/, 'package.json');
  return JSON.parse(await readFile(manifest, 'utf8')).version;
}
