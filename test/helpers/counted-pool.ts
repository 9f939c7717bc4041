import pg from 'pg';
import type { Test } from 'tap';

/** A pool that keeps what is asked through it; ended with the test. */
export function countedPool(t: Test, url: string): { pool: pg.Pool; statements: string[] } {
  const pool = new pg.Pool({ connectionString: url });
  pool.on('error', () => {});
  t.teardown(() => pool.end());
  const statements: string[] = [];
  pool.on('connect', (client) => {
    const query: (...values: unknown[]) => unknown = client.query.bind(client);
    Object.assign(client, {
      query: (statement: pg.QueryConfig | string, ...rest: unknown[]) => {
        statements.push(typeof statement === 'string' ? statement : statement.text);
        return query(statement, ...rest);
      },
    });
  });
  return { pool, statements };
}
