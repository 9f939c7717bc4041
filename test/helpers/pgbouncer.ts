import { spawnSync } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import pg from 'pg';
import type { Test } from 'tap';
import { makeFolder } from './command.js';
import { startDaemon } from './daemon.js';
import { freePort } from './free-port.js';

/** To be given to a test as `skip`. */
export const withoutPgbouncer =
  spawnSync('pgbouncer', ['--version']).error === undefined ? false : 'pgbouncer is not installed';

export interface PgbouncerOptions {
  mode: 'transaction' | 'session';
  /** Connections to Postgres; what is asked goes to each in turn. */
  size: number;
}

/** Runs pgbouncer on a free port in front of a database; ended with the test. Resolves to the address of the database there. */
export async function startPgbouncer(t: Test, database: string, { mode, size }: PgbouncerOptions): Promise<string> {
  const folder = makeFolder(t);
  const port = await freePort();
  const { hostname, port: behind, username, password } = new URL(database);
  await writeFile(
    `${folder}/pgbouncer.ini`,
    `[databases]
    * = host=${hostname} port=${behind} user=${username} password=${decodeURIComponent(password)}
    [pgbouncer]
    listen_addr = 127.0.0.1
    listen_port = ${port}
    unix_socket_dir =
    auth_type = any
    pool_mode = ${mode}
    default_pool_size = ${size}
    server_round_robin = 1
    max_client_conn = 500
    `,
  );
  // It refuses to run as root.
  await chmod(folder, 0o755);
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const url = new URL(database);
  url.hostname = '127.0.0.1';
  url.port = String(port);
  await startDaemon(t, 'pgbouncer', [...user, `${folder}/pgbouncer.ini`], async () => {
    const client = new pg.Client(url.href);
    const isUp = await client.connect().then(
      () => true,
      () => false,
    );
    await client.end();
    return isUp;
  });
  return url.href;
}
