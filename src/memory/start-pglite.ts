import { migrate } from '../database/migrate/migrate.js';
import { errors } from '../foundation/errors.js';
import { inTransaction, type PgliteDatabase } from './pglite-session.js';
import { preparedSchema, readPrepared } from './prepared.js';

/** Starts a PGlite in memory with the bus in it, from the prepared data directory if there is one. @throws POSTBUS_NO_PGLITE */
export async function startPglite(schema: string): Promise<PgliteDatabase> {
  const [{ PGlite }, tar] = await Promise.all([importPglite(), readPrepared()]);
  if (tar) {
    const pglite = new PGlite({
      loadDataDir: new Blob([tar], { type: 'application/x-tar' }),
      // The data directory comes from a Postgres that runs. The timer that reports on a long recovery would keep the process alive.
      startParams: [...PGlite.defaultStartParams, '-c', 'log_startup_progress_interval=0'],
    });
    try {
      await pglite.waitReady;
      if (schema === preparedSchema) await renewSecrets(pglite);
      else await moveTo(pglite, schema);
      return pglite;
    } catch {
      // This Postgres cannot read it. What else may be wrong, the other way finds out, too.
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

/** Everybody can read the prepared data directory: its NOTIFY channel, its key and its incarnation. So a bus takes new ones. */
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
