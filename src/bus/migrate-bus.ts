import type { Database } from '../database/database.js';
import { migrate } from '../database/migrate/migrate.js';
import { errors } from '../foundation/errors.js';
import type { Logger } from '../foundation/logger.js';
import type { Readiness } from './readiness.js';

/**
 * Brings the schema up to date. A schema of a newer version is left as it is, and counts as up to date if it has all
 * that this version calls: otherwise a node that crashes in the middle of an upgrade could not start again.
 *
 * @throws the errors of migrate()
 */
export async function migrateBus(database: Database, readiness: Readiness, logger: Logger): Promise<void> {
  try {
    const { mended } = await migrate((run) => database.postgres.transaction(run), database.schema);
    if (mended.length > 0) logger.warn({ mended }, 'the schema of the bus was damaged, and has been mended');
  } catch (error) {
    if (!(error instanceof errors.NEWER_SCHEMA) || !(await readiness.isServed())) throw error;
    logger.warn({ err: error }, 'the schema is of a newer postbus, and has all that this one needs');
  }
}
