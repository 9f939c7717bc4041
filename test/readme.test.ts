import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import ts from 'typescript';
import { createDatabase } from './helpers/database.js';
import { until } from './helpers/until.js';

const root = new URL('../', import.meta.url);
const readme = await readFile(new URL('README.md', root), 'utf8');

function blocks(language: string): string[] {
  return [...readme.matchAll(/```(\w+)\n(.*?)```/gs)]
    .filter(([, of]) => of === language)
    .map(([, , text = '']) => text);
}

t.test("the README's TypeScript publishes and subscribes, its SQL publishes", async (t) => {
  const { url, query } = await createDatabase(t);
  // Inside the package, where it finds itself by its name.
  const folder = await mkdtemp(fileURLToPath(new URL('test/readme-', root)));
  t.teardown(() => rm(folder, { recursive: true }));
  const source = blocks('ts').join('\n').replace('port: 3000', 'port: 0');
  const program = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  });
  await writeFile(`${folder}/readme.mjs`, program.outputText);
  const child = spawn(process.execPath, [`${folder}/readme.mjs`], { env: { ...process.env, DATABASE_URL: url } });
  t.teardown(() => child.kill());
  let output = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  child.stderr.on('data', (text) => {
    output += text;
  });
  await until(() => output.includes("1 { status: 'paid' }"), 'the subscriber wrote the message of the application');

  for (const statement of blocks('sql')) await query(statement);
  await until(() => output.includes("2 { status: 'paid' }"), 'the subscriber wrote the message of SQL');
  const [message] = await query("select * from message_bus.backlog('/orders/7', 1)");
  t.strictSame(message?.user_ids, ['42']);
});

t.test('the README names the two commands', async (t) => {
  t.match(readme, 'npm ci && npm start');
  t.match(readme, 'npm ci && npm test');
});
