import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { until } from './until.js';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

export interface CommandOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** Written to stdin, which is then closed. */
  input?: string;
}

/** A `postbus` under way; ended with the test, if it has not by then. */
export interface Command {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Resolves to the exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

export interface Outcome {
  code: number | NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Starts the built command line, with an environment in which nothing is set that it could look at. */
export function start(t: Test, args: string[], { cwd = '/', env = {}, input }: CommandOptions = {}): Command {
  const child = spawn(process.execPath, [cli, ...args], {
    cwd,
    env: { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR, ...env },
    stdio: 'pipe',
  });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended;
  });
  return { child, stdout: () => stdout, stderr: () => stderr, ended };
}

/** Runs one to its end. */
export async function run(t: Test, args: string[], options: CommandOptions = {}): Promise<Outcome> {
  const command = start(t, args, options);
  return { code: await command.ended, stdout: command.stdout(), stderr: command.stderr() };
}

/** A server on a free port, once it has printed its address. */
export async function startServer(
  t: Test,
  args: string[],
  options: CommandOptions = {},
): Promise<Command & { url: string }> {
  const command = start(t, ['serve', '--port', '0', ...args], options);
  const over = command.ended.then((code) => {
    throw new Error(`the server ended with ${code}: ${command.stderr()}`);
  });
  await Promise.race([until(() => command.stdout().includes('\n'), 'the server was ready', 60_000), over]);
  // From here on it may end.
  over.catch(() => {});
  const url = /^postbus listens on (http:\S+)\/\n$/.exec(command.stdout())?.[1];
  if (url === undefined) throw new Error(`unexpected output: ${command.stdout()}`);
  return { ...command, url };
}

/** An empty folder, deleted with the test. */
export function makeFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'postbus-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }));
  return folder;
}
