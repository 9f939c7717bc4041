// Runs the tests against a Postgres of their own: `npm test`, or `npm test -- test/bus.test.ts`.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { startEmbeddedPostgres } from '../dist/embedded-postgres/index.js';
import { createBus } from '../dist/index.js';

const template = 'postbus_template';
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
const output = await mkdtemp(join(tmpdir(), 'postbus-test-'));
try {
  await makeTemplate();
  process.exitCode = await runTap(process.argv.slice(2));
} finally {
  await server.stop();
  await rm(output, { recursive: true, force: true });
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

function runTap(args) {
  const tap = fileURLToPath(new URL('../node_modules/.bin/tap', import.meta.url));
  const report = join(output, 'tap.txt');
  const child = spawn(process.execPath, [tap, '--reporter=base', `--output-file=${report}`, ...args], {
    stdio: 'inherit',
    env: { ...process.env, POSTBUS_TEST_URL: server.url, POSTBUS_TEST_TEMPLATE: template },
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => {
    child.on('exit', (code) => {
      printSummary(readFileSync(report, 'utf8'));
      resolve(code ?? 1);
    });
  });
}

/** The closing line that CI reads: tests at the top of their files. */
function printSummary(report) {
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const [, not, directive] of report.matchAll(/^ {4}(not )?ok \d+(?: - .*?)?( # (?:SKIP|TODO).*)?$/gim)) {
    count[directive ? 'skipped' : not ? 'failed' : 'passed']++;
  }
  // On a line of its own: the reporter leaves its cursor codes on the last one.
  console.log(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
}
