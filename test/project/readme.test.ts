import t from 'tap';
import { createDatabase } from '../helpers/database.js';
import { blocksOf, readPage } from '../helpers/documentation.js';
import { runProgram } from '../helpers/documented-program.js';
import { poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const readme = await readPage('README.md');
const blocks = (wanted: string) => blocksOf(readme).filter(({ language }) => language === wanted);

t.test("the README's TypeScript publishes, subscribes and serves a page, its SQL publishes", async (t) => {
  const { url, query } = await createDatabase(t, { migrated: false });
  const source = blocks('ts').map(({ text }) => text);
  const { output } = await runProgram(t, source.join('\n'), url);
  await until(() => output().includes("1 { status: 'paid' }"), 'the subscriber wrote the message of the application');
  await until(() => output().includes("2 { status: 'refunded' }"), 'and the one for a user');

  for (const { text } of blocks('sql')) await query(text);
  await until(() => output().includes("3 { status: 'sent' }"), 'the subscriber wrote the message of SQL');
  const [message] = await query("select * from message_bus.backlog('/orders/7', 1)");
  t.strictSame(message?.user_ids, ['42']);
  t.equal((await query("select from message_bus.backlog('/chat')")).length, 1);

  const address = /http:\S+/.exec(output())?.[0] ?? '';
  const page = await (await fetch(address)).text();
  t.match(page, 'src="/message-bus.js"');
  const script = await fetch(`${address}/message-bus.js`);
  t.equal(script.status, 200);
  t.match(script.headers.get('content-type'), /^text\/javascript/);
  for (const header of ['x-user-id', 'user-id', 'x-user', 'authorization', 'cookie']) {
    const { messages } = await poll(address, { '/orders/7': 0 }, { headers: { [header]: '42' } });
    t.strictSame(
      messages.flatMap(({ channel, data }) => (channel === '/orders/7' ? [data] : [])),
      [{ status: 'paid' }, { status: 'sent' }],
      `nobody becomes user 42 by ${header}`,
    );
  }
});

t.test(
  'the first screen of the README tells how long messages stay, what the bus is not, and where it runs',
  async (t) => {
    const beginning = readme.split('\n## ')[0] ?? '';
    t.ok(beginning.split('\n').length < 40);
    t.match(beginning, /1000 messages[\s\S]*2000[\s\S]*7 days/);
    for (const said of ['What it is not', 'Linux, macOS or Windows', 'Node 20', 'Postgres 15'])
      t.match(beginning, said);
  },
);

t.test('what the README tells to type needs no substitution of a shell', async (t) => {
  for (const { text } of blocks('sh')) t.notMatch(text, /\$|`|'|^[A-Z_]+=/m);
});

t.test('the README names the two commands', async (t) => {
  t.match(readme, 'npm ci && npm start');
  t.match(readme, 'npm ci && npm test');
});
