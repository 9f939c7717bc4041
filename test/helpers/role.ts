import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import type { TestDatabase } from './database.js';

/** A role of the test's own that may log in, and the address under which it does; dropped with all it owns. */
export async function createRole(t: Test, database: TestDatabase): Promise<{ role: string; url: string }> {
  const role = `role_${randomBytes(8).toString('hex')}`;
  await database.query(`create role ${role} login password 'secret'`);
  t.teardown(async () => {
    await database.query(`drop owned by ${role} cascade`);
    await database.query(`drop role ${role}`);
  });
  const url = new URL(database.url);
  url.username = role;
  url.password = 'secret';
  return { role, url: url.href };
}
