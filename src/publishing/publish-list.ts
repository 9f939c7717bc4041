import { setTimeout as delay } from 'node:timers/promises';
import { isLockTimeout, isRetryable } from '../database/coded-error.js';
import type { Database } from '../database/database.js';
import { errors } from '../foundation/errors.js';
import { Entry, type Publication } from './publication.js';

/**
 * Publishes messages in one transaction, all or none. Resolves to their message ids, in the order given. While another
 * transaction holds the lock of a channel, it tries again, for at most `database.queryTimeout` ms.
 *
 * @throws POSTBUS_LOCKED if the lock has not been released by then
 */
export async function publishList(database: Database, publications: readonly Publication[]): Promise<number[]> {
  if (publications.length === 0) return [];
  const ignore = () => {};
  const entries = publications.map((publication) => new Entry(publication, ignore, ignore));
  const values = [`[${entries.map(({ json }) => json).join(',')}]`];
  const since = performance.now();
  for (;;) {
    try {
      const text = `select ${database.name('publish_batch')}($1) as ids`;
      const [row] = await database.prepared<{ ids: (string | number)[] }>(text, values);
      return (row?.ids ?? []).map(Number);
    } catch (error) {
      if (!isLockTimeout(error) && !isRetryable(error)) throw error;
      // Another transaction was in the way, and Postgres has rolled this one back: nothing was published.
      if (performance.now() - since > database.queryTimeout) {
        throw isLockTimeout(error) ? new errors.LOCKED(publications[0]?.channel ?? '', database.queryTimeout) : error;
      }
      await delay(Math.random() * 100);
    }
  }
}
