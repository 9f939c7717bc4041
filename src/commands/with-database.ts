import type { Database } from '../database/database.js';

/** Runs `work` with a database, and closes the database at the end, whether `work` resolves or rejects. */
export async function withDatabase<Result>(
  connectionString: string,
  schema: string,
  work: (database: Database) => Promise<Result>,
): Promise<Result> {
  const { Database } = await import('../database/database.js');
  const { PooledPostgres } = await import('../database/pooled-postgres.js');
  const database = new Database(new PooledPostgres({ connectionString }, () => {}), schema);
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}
