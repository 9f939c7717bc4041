// Runs the tests against a Postgres of their own: `npm test`, or `npm test -- test/bus/bus.test.ts test/sql/`. dist/ is built before.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { startEmbeddedPostgres } from '../dist/embedded-postgres/index.js';
import { createBus } from '../dist/index.js';
import { title, wanted } from './arguments.mjs';
import { startBrowser } from './browser-server.mjs';
import { compile } from './compile.mjs';
import './temporary-folder.mjs';

const template = 'postbus_template';
const files = chosenFiles();
await compile();
const server = await startEmbeddedPostgres({
  // What a crash leaves behind is tested on servers that the tests start themselves.
  settings: {
    max_connections: '300',
    max_prepared_transactions: '5',
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
  },
});
try {
  await makeTemplate();
  const needBrowser = files.some((file) => readFileSync(file, 'utf8').includes('needsBrowser'));
  const browser = needBrowser ? await startBrowser() : undefined;
  process.exitCode = await runFiles(browser?.wsEndpoint());
  await browser?.close();
} finally {
  await server.stop();
}

function chosenFiles() {
  const all = readdirSync(new URL('.', import.meta.url), { recursive: true })
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => `test/${path}`)
    .sort();
  const none = wanted.filter((path) => !all.some((file) => file.startsWith(path)));
  if (none.length > 0) throw new Error(`no tests in ${none.join(', ')}`);
  return wanted.length > 0 ? all.filter((file) => wanted.some((path) => file.startsWith(path))) : all;
}

async function makeTemplate() {
  const admin = new pg.Client(server.url);
  await admin.connect();
  const { rows } = await admin.query('show server_version');
  console.log(`PostgreSQL ${rows[0].server_version}`);
  await admin.query(`create database ${template}`);
  const bus = createBus({ connectionString: server.url.replace(/\/postgres$/, `/${template}`) });
  await bus.migrate();
  await bus.close();
  await admin.end();
}

async function runFiles(browser) {
  const child = spawn(process.execPath, ['test/run-files.mjs', ...files], {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    cwd: fileURLToPath(new URL('../', import.meta.url)),
    env: {
      ...process.env,
      POSTBUS_TEST_URL: server.url,
      POSTBUS_TEST_TEMPLATE: template,
      ...(title === undefined ? {} : { POSTBUS_TEST_TITLE: title }),
      ...(browser === undefined ? {} : { POSTBUS_TEST_BROWSER: browser }),
      // A line for each file, and none that are drawn again and again.
      ...(process.stdout.isTTY ? {} : { CI: '1' }),
    },
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  const ended = new Promise((resolve) => child.on('close', resolve));
  const { passed, failed, skipped } = JSON.parse(await text(child.stdio[3]));
  // The closing line, which CI reads: tests at the top of their files.
  console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
  return (await ended) ?? 1;
}
