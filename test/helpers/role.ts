import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { openBus } from './bus.js';
import { createDatabase, type TestDatabase } from './database.js';

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

/** A bus whose owner is no superuser, and a role that has been granted these functions of it and nothing else. */
export async function createGrantee(
  t: Test,
  functions: string[],
): Promise<{ database: TestDatabase; role: string; url: string }> {
  const database = await createDatabase(t, { migrated: false });
  const owner = await createRole(t, database);
  const { role, url } = await createRole(t, database);
  await database.query(`create schema message_bus authorization ${owner.role}`);
  await openBus(t, owner.url).migrate();
  await database.query(`grant usage on schema message_bus to ${role}`);
  for (const name of functions) await database.query(`grant execute on function message_bus.${name} to ${role}`);
  return { database, role, url };
}

/** Lets a role name the types of the bus in what it makes, which is nobody's right unless somebody grants it. */
export async function grantTypes(database: TestDatabase, role: string): Promise<void> {
  await database.query(`do $$
    declare t regtype;
    begin
      for t in select oid from pg_type where typnamespace = 'message_bus'::regnamespace and typcategory <> 'A' loop
        execute format('grant usage on type %s to ${role}', t);
      end loop;
    end $$`);
}
