import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Test } from 'tap';

/** Of a drop, for connections that are left. */
const patienceMs = 2_000;

export interface TestDatabase {
  url: string;
  name: string;
  /** For looking and publishing behind the bus's back; closed with the test. */
  pool: pg.Pool;
  query: <Row extends pg.QueryResultRow = pg.QueryResultRow>(text: string, values?: unknown[]) => Promise<Row[]>;
}

/** A migrated database of the test's own (`migrated: false`: an empty one), dropped when it ends. */
export async function createDatabase(t: Test, options: { migrated?: boolean } = {}): Promise<TestDatabase> {
  const server = process.env.POSTBUS_TEST_URL;
  const template = options.migrated === false ? 'template1' : process.env.POSTBUS_TEST_TEMPLATE;
  if (!server || !template) throw new Error('Run the tests with `npm test`, or `npm test -- <file>`.');
  const name = `test_${randomBytes(8).toString('hex')}`;
  await asAdmin(server, `create database ${name} template ${template} strategy file_copy`);
  const url = databaseUrl(server, name);
  const pool = new pg.Pool({ connectionString: url, max: 40 });
  // Tests end backends; what matters is what the bus makes of it.
  pool.on('error', () => {});
  t.teardown(async () => {
    await pool.end();
    await drop(server, name);
  });
  return { url, name, pool, query: async (text, values) => (await pool.query(text, values)).rows };
}

export function databaseUrl(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

/** Connections that a test has closed may take a while to end; to be terminated meanwhile would be an error of theirs. */
async function drop(server: string, name: string): Promise<void> {
  const client = new pg.Client(server);
  await client.connect();
  const end = Date.now() + patienceMs;
  while (Date.now() < end) {
    const { rowCount } = await client.query('select from pg_stat_activity where datname = $1 limit 1', [name]);
    if (rowCount === 0) break;
    await delay(5);
  }
  await client.query(`drop database if exists ${name} with (force)`);
  await client.end();
}

async function asAdmin(server: string, statement: string): Promise<void> {
  const client = new pg.Client(server);
  await client.connect();
  await client.query(statement);
  await client.end();
}
