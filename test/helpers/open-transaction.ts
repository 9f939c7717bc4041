import type { Test } from 'tap';
import type { TestDatabase } from './database.js';

/** A transaction that has published to these channels and stays open. */
export async function publishAndStay(t: Test, { pool }: TestDatabase, channels: string[]) {
  const client = await pool.connect();
  await client.query('begin');
  for (const channel of channels) await client.query('select message_bus.publish($1, $2)', [channel, '"held"']);
  let isOpen = true;
  const end = async (how: 'commit' | 'rollback') => {
    if (isOpen) await client.query(how).finally(() => client.release());
    isOpen = false;
  };
  t.teardown(() => end('rollback'));
  return end;
}
