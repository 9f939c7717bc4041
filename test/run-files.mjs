// Runs compiled test files, several at a time, and shows how they go; tells its parent how many tests passed.
import childProcess from 'node:child_process';
import { writeSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { availableParallelism } from 'node:os';
import { t } from 'tap';
import { compiled } from './compile.mjs';
import { isFilteredOut, reportDetails, reportFile } from './report.mjs';

const files = process.argv.slice(2);
// tap's filter is set for the files' processes alone: here, it would skip files by their names.
const { POSTBUS_TEST_TITLE: title } = process.env;
const filter = title === undefined ? {} : { TAP_GREP: `/${literally(title)}/i` };
const count = { passed: 0, failed: 0, skipped: 0 };

// tap has each Node process below it load a module that counts how often every line has run. Nobody reads that, and it took
// half of the CPU.
const { spawn } = childProcess;
const { NODE_OPTIONS } = process.env;
childProcess.spawn = (command, args, options) =>
  spawn(command, args, { ...options, env: { ...options.env, NODE_OPTIONS } });
syncBuiltinESMExports();

t.register();
t.resume();
t.setTimeout(0);
t.plan(files.length);
// Tests wait more than they work.
t.jobs = availableParallelism() + 1;
t.on('spawn', (file) => {
  reportFile(file, () => count.failed++);
  file.parser.on('assert', ({ ok, skip, todo }) => {
    if (isFilteredOut(skip)) return;
    count[skip || todo ? 'skipped' : ok ? 'passed' : 'failed']++;
  });
});
process.on('exit', () => {
  reportDetails();
  if (title !== undefined && count.passed + count.failed + count.skipped === 0) {
    console.log(`\nno test has this in its title: ${title}`);
    process.exitCode = 1;
  }
  writeSync(3, JSON.stringify(count));
});
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    for (const { proc } of [...t.pool, ...t.subtests]) proc?.kill(signal);
  });
}
// For tests that would hang for ever: long enough for any machine.
const seconds = 300;
for (const file of files) {
  t.spawn(process.execPath, ['--enable-source-maps', 'dist-test/run-file.mjs', compiled(file)], {
    name: file,
    env: { ...process.env, ...filter, TAP_TIMEOUT: String(seconds) },
    buffered: true,
    stdio: 'pipe',
    timeout: seconds * 1_000,
  });
}

function literally(text) {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}
