import pg from 'pg';
import { passwordPath } from '../folder/private-files.js';
import { Failure } from '../system/errors.js';

export function serverUrl(port: number, password: string): string {
  return `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
}

/** Whether a real connection succeeds. A server that refuses the password will not change its mind. */
export async function canLogIn(folder: string, port: number, password: string): Promise<boolean> {
  const client = new pg.Client({
    connectionString: serverUrl(port, password),
    connectionTimeoutMillis: 5_000,
    ssl: false,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return true;
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code?.startsWith('28')) {
      throw new Failure('POSTBUS_EMBEDDED_PASSWORD', folder, passwordPath(folder));
    }
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}
