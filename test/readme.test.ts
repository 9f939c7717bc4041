import t from 'tap';
import { createDatabase } from './helpers/database.js';
import { blocksOf, readPage } from './helpers/documentation.js';
import { runProgram } from './helpers/documented-program.js';
import { until } from './helpers/until.js';

const readme = await readPage('README.md');
const blocks = (wanted: string) => blocksOf(readme).filter(({ language }) => language === wanted);

t.test("the README's TypeScript publishes and subscribes, its SQL publishes", async (t) => {
  const { url, query } = await createDatabase(t);
  const source = blocks('ts').map(({ text }) => text);
  const { output } = await runProgram(t, source.join('\n'), url);
  await until(() => output().includes("1 { status: 'paid' }"), 'the subscriber wrote the message of the application');

  for (const { text } of blocks('sql')) await query(text);
  await until(() => output().includes("2 { status: 'paid' }"), 'the subscriber wrote the message of SQL');
  const [message] = await query("select * from message_bus.backlog('/orders/7', 1)");
  t.strictSame(message?.user_ids, ['42']);
});

t.test('the README names the two commands', async (t) => {
  t.match(readme, 'npm ci && npm start');
  t.match(readme, 'npm ci && npm test');
});
