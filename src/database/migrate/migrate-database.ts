import { PooledPostgres } from '../pooled-postgres.js';
import { type MigrateReport, migrate } from './migrate.js';

/** Migrates by a connection of its own, for the command line. Resolves to what was done. */
export async function migrateDatabase(connectionString: string, schema: string): Promise<MigrateReport> {
  const postgres = new PooledPostgres({ connectionString }, () => {});
  try {
    return await migrate((run) => postgres.transaction(run), schema);
  } finally {
    await postgres.close();
  }
}
