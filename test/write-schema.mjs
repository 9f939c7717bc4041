// Writes docs/schema.sql and docs/tables.md, but for its introduction, from the catalog of a schema that was just migrated:
// `npm run write:schema`.
import { readFileSync, writeFileSync } from 'node:fs';
import pg from 'pg';
import { startEmbeddedPostgres } from '../dist/embedded-postgres/index.js';
import { createBus } from '../dist/index.js';
import { compile } from './compile.mjs';

await compile();
const { relationsOf, snapshotOf, tablesPageOf } = await import('../dist-test/database/schema/snapshot.js');
const server = await startEmbeddedPostgres();
try {
  const bus = createBus({ connectionString: server.url });
  await bus.migrate();
  await bus.close();
  const client = new pg.Client(server.url);
  await client.connect();
  const relations = await relationsOf(client, 'message_bus');
  await client.end();
  writeFileSync(new URL('../docs/schema.sql', import.meta.url), snapshotOf(relations));
  const page = new URL('../docs/tables.md', import.meta.url);
  const text = readFileSync(page, 'utf8');
  const end = text.indexOf('\n## ');
  const introduction = end < 0 ? text : text.slice(0, end);
  writeFileSync(page, `${introduction.trimEnd()}\n\n${tablesPageOf(relations)}`);
} finally {
  await server.stop();
}
