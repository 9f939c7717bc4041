import { PooledPostgres } from '../pooled-postgres.js';
import { type MigrateReport, migrate } from './migrate.js';

/**
 * Migrates a schema over a connection of its own, for the command line. Resolves to what was done.
 *
 * @throws the errors of migrate()
 */
export async function migrateDatabase(connectionString: string, schema: string): Promise<MigrateReport> {
  const postgres = new PooledPostgres({ connectionString }, () => {});
  try {
    return await migrate((run) => postgres.transaction(run), schema);
  } finally {
    await postgres.close();
  }
}
