// Writes the data directory that createMemoryBus() begins with, unless it is up to date: `npm run build:memory`.
import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { brotliCompressSync, constants } from 'node:zlib';
import { PGlite } from '@electric-sql/pglite';
import { migrate } from '../database/migrate/migrate.js';
import { inTransaction } from './pglite-session.js';
import { preparedFile, preparedSchema } from './prepared.js';

const file = await preparedFile();
const isThere = await stat(file).then(
  () => true,
  () => false,
);
if (!isThere) {
  const folder = new URL('./', file);
  for (const name of await readdir(folder)) if (name.endsWith('.tar.br')) await rm(new URL(name, folder));
  await writeFile(file, await prepare());
}

async function prepare(): Promise<Buffer> {
  // By default, segments of the WAL have 16 MB, and Postgres keeps more of them than it needs: most of the data that
  // would have to be unpacked.
  const pglite = new PGlite({
    initDbStartParams: ['--wal-segsize=1', '--no-data-checksums'],
    startParams: [...PGlite.defaultStartParams, '-c', 'min_wal_size=2MB', '-c', 'max_wal_size=2MB'],
  });
  await migrate((run) => inTransaction(pglite, run), preparedSchema);
  await pglite.exec('vacuum full');
  // The template databases are half of the rest. They are not needed, because nobody can create a database in a PGlite
  // that belongs to a bus.
  await pglite.exec('update pg_database set datistemplate = false, datallowconn = true');
  for (const database of ['template0', 'template1']) await pglite.exec(`drop database ${database}`);
  for (let i = 0; i < 2; i++) await pglite.exec('checkpoint');
  const tar = Buffer.from(await (await pglite.dumpDataDir('none')).arrayBuffer());
  await pglite.close();
  return brotliCompressSync(tar, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 9,
      [constants.BROTLI_PARAM_LGWIN]: 24,
      [constants.BROTLI_PARAM_SIZE_HINT]: tar.length,
    },
  });
}
