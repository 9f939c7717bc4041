import { readFile } from 'node:fs/promises';
import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';

const released = new URL('fixtures/released-schema.sql', import.meta.url);

/** What nodes of the last release call, and their applications. */
const called =
  `publish publish_many publish_later publish_batch publish_changes stop_publishing_changes last_id last_ids last_global_id
  backlog global_backlog get_message read_channels read_heads read_global held_channels node_state keepalive relay relay_state relay_refused
  diagnostics notify_channel configure configuration expire_all_backlogs reset`.split(/\s+/);

interface Signature {
  name: string;
  inputs: string[];
  outputs: string[];
  /** Inputs without a default. */
  wanted: number;
}

async function signatures({ query }: TestDatabase): Promise<Signature[]> {
  return query(
    `select p.proname::text as name, p.pronargs - p.pronargdefaults as wanted,
      array(select format('%s %s', p.proargnames[i], p.proargtypes[i - 1]::regtype) from generate_series(1, p.pronargs) i) as inputs,
      array[p.prorettype::regtype::text, p.proretset::text] || array(
        select format('%s %s', u.name, u.type::regtype) from unnest(p.proargnames, p.proallargtypes, p.proargmodes) u(name, type, mode)
        where u.mode in ('o', 't')) as outputs
    from pg_proc p where p.pronamespace = 'message_bus'::regnamespace and p.proname = any ($1)`,
    [called],
  );
}

/** Whether each call of the old one is a call of the new one, and gets all the columns that it got. */
function serves(now: Signature, then: Signature): boolean {
  return (
    then.inputs.every((input, i) => input === now.inputs[i]) &&
    now.wanted <= then.wanted &&
    then.outputs.every((output) => now.outputs.includes(output))
  );
}

t.test(
  'a schema that is migrated serves the nodes of the last release: functions take and return what they did',
  async (t) => {
    const database = await createDatabase(t, { migrated: false });
    await database.query(await readFile(released, 'utf8'));
    const before = await signatures(database);
    t.strictSame([...new Set(before.map(({ name }) => name))].sort(), [...called].sort(), 'all of them are looked at');
    await openBus(t, database.url).migrate();
    const after = await signatures(database);
    const broken = before.filter((then) => !after.some((now) => now.name === then.name && serves(now, then)));
    t.strictSame(broken, []);
  },
);

t.test('a node of this version finds an older schema not ready, and does not serve on it', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  await database.query(await readFile(released, 'utf8'));
  await t.rejects(openBus(t, database.url).check(), { code: 'POSTBUS_NO_SCHEMA' });
});

t.test(
  'bus.migrate() of an older version resolves on a newer schema that has all that it calls, with a warning',
  async (t) => {
    const database = await createDatabase(t);
    await database.query(
      `insert into message_bus.schema_migration values ('9999_from_the_future', '2100-01-01T00:00:00.000Z');
    drop function message_bus.migrated_by`,
    );
    const bus = openBus(t, database.url);
    await bus.migrate();
    t.match(bus.log, [{ level: 'warn', message: /newer/, details: { err: { code: 'POSTBUS_NEWER_SCHEMA' } } }]);
    t.equal(await bus.publish('/a', 1), 1);
  },
);
