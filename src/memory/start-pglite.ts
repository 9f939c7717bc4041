import { migrate } from '../database/migrate/migrate.js';
import { errors } from '../foundation/errors.js';
import { inTransaction, type PgliteDatabase } from './pglite-session.js';
import { preparedSchema, readPrepared } from './prepared.js';

/**
 * Starts a PGlite in memory with a bus in it, from the prepared data directory if there is one.
 *
 * @throws POSTBUS_NO_PGLITE
 */
export async function startPglite(schema: string): Promise<PgliteDatabase> {
  const [{ PGlite }, tar] = await Promise.all([importPglite(), readPrepared()]);
  if (tar) {
    const pglite = new PGlite({
      loadDataDir: new Blob([tar], { type: 'application/x-tar' }),
      // The data directory comes from a running Postgres, so PGlite recovers it at the start. This setting turns off
      // the timer that reports a long recovery, which would keep the process alive.
      startParams: [...PGlite.defaultStartParams, '-c', 'log_startup_progress_interval=0'],
    });
    try {
      await pglite.waitReady;
      if (schema === preparedSchema) await renewSecrets(pglite);
      else await moveTo(pglite, schema);
      return pglite;
    } catch {
      // This PGlite cannot use the data directory. If something else is wrong, the code below fails, too.
    }
  }
  const pglite = new PGlite();
  await migrate((run) => inTransaction(pglite, run), schema);
  return pglite;
}

async function moveTo(pglite: PgliteDatabase, schema: string): Promise<void> {
  await pglite.exec(`drop schema ${preparedSchema} cascade`);
  await migrate((run) => inTransaction(pglite, run), schema);
}

/**
 * Gives the bus a NOTIFY channel, a key and an incarnation of its own, because everybody can read those of the prepared
 * data directory.
 */
async function renewSecrets(pglite: PgliteDatabase): Promise<void> {
  await inTransaction(pglite, async (statement) => {
    await statement(`set local search_path = ${preparedSchema}, pg_temp`);
    await statement('select rotate_key(), renew_incarnation()');
  });
}

async function importPglite() {
  try {
    return await import('@electric-sql/pglite');
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    const missing = new errors.NO_PGLITE();
    missing.cause = error;
    throw missing;
  }
}
