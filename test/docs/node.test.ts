import t, { type Test } from 'tap';
import ts from 'typescript';
import { createDatabase } from '../helpers/database.js';
import { blocksOf, readPage, rowsOf } from '../helpers/documentation.js';
import { runProgram } from '../helpers/documented-program.js';
import { poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const page = await readPage('docs/node.md');
const sources = blocksOf(page)
  .filter(({ language }) => language === 'ts')
  .map(({ text }) => text);
const shown: string[] = [];

/** Runs the example that holds these words, until it has printed as many lines, or this line. */
async function run(t: Test, words: string, wanted: number | string): Promise<string[]> {
  return (await runOnDatabase(t, words, wanted)).lines;
}

async function runOnDatabase(t: Test, words: string, wanted: number | string) {
  const found = sources.filter((text) => text.includes(words));
  t.equal(found.length, 1, words);
  shown.push(words);
  const { url, query } = await createDatabase(t);
  const { output } = await runProgram(t, found[0] ?? '', url);
  const printed = () => output().split('\n').slice(0, -1);
  const isThere = () => (typeof wanted === 'string' ? printed().includes(wanted) : printed().length >= wanted);
  await until(isThere, `it prints this line, or as many: ${wanted}`);
  return { lines: printed(), query };
}

async function optionsOf(file: string, interfaceName: string): Promise<string[]> {
  const source = ts.createSourceFile(file, await readPage(`src/${file}`), ts.ScriptTarget.ES2022);
  return source.statements
    .filter(ts.isInterfaceDeclaration)
    .filter(({ name }) => name.text === interfaceName)
    .flatMap(({ members }) => members.map(({ name }) => name?.getText(source) ?? ''));
}

const section = (title: string) => page.slice(page.indexOf(`\n## ${title}\n`)).replace(/^(\n## .*?)\n## .*/s, '$1');

t.test('the options are those of the code', async (t) => {
  const names = (title: string) => rowsOf(section(title)).map(([name = '']) => name);
  const ofDatabase = await optionsOf('database/pooled-postgres.ts', 'DatabaseOptions');
  t.strictSame(names('Options'), [...ofDatabase, ...(await optionsOf('bus/options.ts', 'BusOptions'))]);
  const ofSites = await optionsOf('publishing/publish-options.ts', 'SiteOptions');
  const ofSubscriptions = await optionsOf('bus/options.ts', 'SubscribeOptions');
  t.strictSame(names('Subscribing').sort(), [...ofSites, ...ofSubscriptions].sort());
});

t.test('the first example', async (t) => {
  // The subscriber may be gone before the message reaches it.
  const lines = await run(t, 'await subscription.unsubscribe()', "[ { status: 'paid' } ]");
  t.strictSame(lines.slice(-2), ['true', "[ { status: 'paid' } ]"]);
});

t.test('the example of a transaction', async (t) => {
  const { lines, query } = await runOnDatabase(t, 'publishMany([', 1);
  t.strictSame(lines, ['[ 2, 1 ]']);
  t.strictSame(await query('select id from orders'), [{ id: 7 }]);
});

t.test('the example of gaps', async (t) => {
  const [first] = await run(t, 'onGap', 1);
  t.equal(first, 'missed what came after 5 and before 8 on /prices');
});

t.test('the example of filters', async (t) => {
  const [url = ''] = await run(t, 'registerClientMessageFilter', 1);
  const texts = async () => {
    const { messages } = await poll(url, { '/chat/1': 0 }, { dlp: true });
    return messages.map(({ channel, data }) => (channel === '/__status' ? data : Object(data).text));
  };
  await until(async () => (await texts()).includes('now'), 'all is published');
  t.strictSame(await texts(), ['now', { '/chat/1': 3 }]);
});

t.test('the example of a codec, and what SQL readers see of it', async (t) => {
  const { lines, query } = await runOnDatabase(t, 'const codec', 5);
  t.strictSame(lines, [
    '{',
    '  id: 18446744073709551616n,',
    '  paid: 1970-01-01T00:00:00.000Z,',
    "  tags: Set(1) { 'new' }",
    '}',
  ]);
  const [row] = await query<{ json: string }>(`select data::text as json from message_bus.backlog('/orders')`);
  t.ok(page.includes(`\`${row?.json}\``), row?.json ?? 'no row');
});

t.test('the example of events', async (t) => {
  t.strictSame(await run(t, "'disconnected'", 1), ['messages arrive: true']);
});

t.test('the example of readiness', async (t) => {
  t.strictSame(await run(t, 'bus.check()', 1), ['ready']);
});

t.test('the example of a bus that is off', async (t) => {
  t.strictSame(await run(t, 'bus.off()', 1), ['0 true']);
});

t.test('every example is run', async (t) => {
  for (const text of sources)
    t.ok(
      shown.some((words) => text.includes(words)),
      text,
    );
});
