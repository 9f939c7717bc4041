import t from 'tap';
import { createDatabase } from '../helpers/database.js';
import { blocksOf, readPage } from '../helpers/documentation.js';
import { publishAndStay } from '../helpers/open-transaction.js';
import { until } from '../helpers/until.js';

const statements = blocksOf(await readPage('docs/operating.md')).filter(({ language }) => language === 'sql');

t.test('docs/operating.md shows who is in the way of publishers', async (t) => {
  const database = await createDatabase(t);
  const shown = statements.find(({ text }) => text.includes('pg_locks'))?.text ?? '';
  await database.query(`select message_bus.publish('/a', '1')`);
  t.strictSame(await database.query(shown), [], 'nobody is');

  const end = await publishAndStay(t, database, ['/a']);
  const publishing = database.query(`select message_bus.publish('/a', '2')`);
  const rows = () => database.query<{ pid: number; state: string; waits_for: number[]; query: string }>(shown);
  await until(async () => (await rows()).length === 2, 'one waits for the other');
  const [holder, waiting] = await rows();
  t.match(holder, { state: 'idle in transaction', waits_for: [] });
  t.match(waiting, { state: 'active', waits_for: [holder?.pid] });

  await end('commit');
  await publishing;
});
