import { withClient } from './client.js';
import type { ChaosPostgres } from './postgres.js';

const name = 'postgres';
const copy = 'chaos_copy';

/**
 * Keeps a copy of the database as it is, or puts the copy in its place, as operators do who restore beside it and rename. Postgres
 * does either only while nobody is connected: connections are cut, and made anew to what has the name then.
 */
export async function swapDatabase(postgres: ChaosPostgres, step: 'keep a copy' | 'take the copy'): Promise<void> {
  const url = new URL(postgres.url);
  url.pathname = '/template1';
  await withClient(url.href, async (client) => {
    await client.query(`alter database ${name} with allow_connections false`);
    // Those that were about to begin come once more.
    for (let isEmpty = false; !isEmpty; ) {
      const text = 'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1';
      isEmpty = (await client.query(text, [name])).rowCount === 0;
    }
    if (step === 'keep a copy') {
      await client.query(`drop database if exists ${copy}`);
      await client.query(`create database ${copy} template ${name}`);
    } else {
      await client.query(`drop database ${name}`);
      await client.query(`alter database ${copy} rename to ${name}`);
    }
    await client.query(`alter database ${name} with allow_connections true`);
  });
}
