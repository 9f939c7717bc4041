import type { Database } from '../database/database.js';

/** Works with a database, and closes it whatever comes of that. */
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
