import t from 'tap';
import { MessageBusClient } from '../../src/client/index.js';
import { ClientSettings } from '../../src/client/settings.js';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { createDatabase } from '../helpers/database.js';
import { blocksOf, readPage, rowsOf } from '../helpers/documentation.js';
import { runProgram } from '../helpers/documented-program.js';
import { until } from '../helpers/until.js';

const page = await readPage('docs/clients.md');
const blocks = blocksOf(page);
const browser = new TestBrowser(t);

const section = (from: string, to: string) => page.slice(page.indexOf(`\n${from}\n`), page.indexOf(`\n${to}`));

t.test('the settings are those of the client, with their defaults', async (t) => {
  const defaults = new Map<string, unknown>(Object.entries(new ClientSettings()));
  const shown = rowsOf(section('## Settings', '## Coming from'));
  t.strictSame(
    shown.map(([name]) => name),
    [...defaults.keys()],
  );
  for (const [name = '', value] of shown) {
    const actual = defaults.get(name);
    t.equal(typeof actual === 'object' ? JSON.stringify(actual) : name === 'fetch' ? '' : String(actual), value, name);
  }
});

t.test('the calls are those of the client', async (t) => {
  const client = new MessageBusClient();
  const calls = Object.getOwnPropertyNames(MessageBusClient.prototype).filter((name) => name !== 'constructor');
  const values = Object.keys(client).filter((name) => !(name in new ClientSettings()));
  const shown = rowsOf(section('## Calls', '### From where')).flatMap(
    ([cell = '']) => cell.match(/\w+(?=\()/g) ?? [cell],
  );
  t.strictSame(shown.sort(), [...calls, ...values].sort());
});

t.test('the programs: a server with the script, a page with it, a client in Node', needsBrowser, async (t) => {
  const { url: database, query } = await createDatabase(t);
  const [server, node] = blocks.filter(({ language }) => language === 'ts').map(({ text }) => text);
  const html = blocks.find(({ language }) => language === 'html')?.text;
  if (server === undefined || node === undefined || html === undefined) throw new Error('the examples are gone');
  const { output } = await runProgram(t, server, database);
  const address = () => /http:\/\/127\.0\.0\.1:\d+/.exec(output())?.[0];
  await until(() => address() !== undefined, 'it listens');
  const url = address() ?? '';

  const tab = await (await browser.openProfile(t)).newPage();
  const lines: string[] = [];
  tab.on('console', (message) => {
    if (message.type() === 'log') lines.push(message.text());
  });
  await tab.goto(`${url}/message-bus.js`);
  await tab.setContent(html);
  t.ok(node.includes('http://127.0.0.1:3000/'));
  const client = await runProgram(t, node.replace('http://127.0.0.1:3000', url), database);

  for (const status of ['new', 'paid']) {
    await query(`select message_bus.publish('/orders/7', jsonb_build_object('status', $1::text))`, [status]);
  }
  await until(() => lines.length >= 2 && client.output().split('\n').length > 2, 'both have written what came');
  t.strictSame(lines, ['1 new', '2 paid']);
  t.equal(client.output(), '1 new\n2 paid\n');
});
