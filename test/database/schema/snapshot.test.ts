import pg from 'pg';
import t, { type Test } from 'tap';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { readPage } from '../../helpers/documentation.js';
import { relationsOf, snapshotOf, tablesPageOf, triggersHeading } from './snapshot.js';

const command = 'npm run write:schema writes it anew';

async function connect(t: Test, { url }: TestDatabase): Promise<pg.Client> {
  const client = new pg.Client(url);
  await client.connect();
  t.teardown(() => client.end());
  return client;
}

t.test('docs/schema.sql has the tables as the migrations leave them, and makes the same tables', async (t) => {
  const client = await connect(t, await createDatabase(t));
  const relations = await relationsOf(client, 'message_bus');
  const snapshot = await readPage('docs/schema.sql');
  t.equal(snapshot, snapshotOf(relations), command);

  const [statements = ''] = snapshot.split(triggersHeading);
  await client.query(`create schema again; set search_path = again; ${statements}`);
  const again = await relationsOf(client, 'again');
  const bare = ({ name, columns, constraints, options }: (typeof relations)[number]) => ({
    name,
    columns: columns.map(({ definition }) => definition),
    constraints,
    options,
  });
  t.strictSame(again.map(bare), relations.map(bare));
});

t.test('docs/tables.md explains each table and column as the comments in the catalog do', async (t) => {
  const client = await connect(t, await createDatabase(t));
  const page = await readPage('docs/tables.md');
  t.equal(page.slice(page.indexOf('\n## ') + 1), tablesPageOf(await relationsOf(client, 'message_bus')), command);
});
