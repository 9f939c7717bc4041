import { spawn } from 'node:child_process';
import type { Test } from 'tap';
import { until } from './until.js';

/** Starts a server that stays in the foreground, and waits until it answers; ended with the test. */
export async function startDaemon(
  t: Test,
  command: string,
  parameters: readonly string[],
  answers: () => Promise<boolean>,
): Promise<void> {
  const child = spawn(command, parameters);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  t.teardown(async () => {
    // At once, whoever is connected.
    child.kill('SIGTERM');
    await ended;
  });
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`${command} ended: ${output}`);
    return answers();
  }, `${command} answers`);
}
