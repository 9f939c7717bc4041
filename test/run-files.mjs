// Runs compiled test files, several at a time, and shows how they go; tells its parent how many tests passed.
import childProcess from 'node:child_process';
import { writeSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { availableParallelism } from 'node:os';
import { t } from 'tap';
import { compiled } from './compile.mjs';
import { reportDetails, reportFile } from './report.mjs';

const files = process.argv.slice(2);
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
  reportFile(file);
  file.parser.on('assert', ({ ok, skip, todo }) => {
    count[skip || todo ? 'skipped' : ok ? 'passed' : 'failed']++;
  });
});
process.on('exit', () => {
  reportDetails();
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
    env: { ...process.env, TAP_TIMEOUT: String(seconds) },
    buffered: true,
    stdio: 'pipe',
    timeout: seconds * 1_000,
  });
}
