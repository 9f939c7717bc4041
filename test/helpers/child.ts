import { type ChildProcess, fork } from 'node:child_process';
import type { Test } from 'tap';
import { until } from './until.js';

/** A process of its own that runs a program of JavaScript, and what it has said with process.send(). */
export interface Child {
  readonly process: ChildProcess;
  readonly said: unknown[];
}

/** Ended with the test. What it writes to stderr is shown. */
export function startChild(t: Test, program: URL, env: Record<string, string>): Child {
  const child = fork(program, { execArgv: [], env: { ...process.env, NODE_OPTIONS: '', ...env } });
  const said: unknown[] = [];
  child.on('message', (message) => said.push(message));
  const ended = new Promise((resolve) => child.once('close', resolve));
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended;
  });
  return { process: child, said };
}

/** Sends a message to a child and waits for what it says next. */
export async function ask(child: Child, message: string | object): Promise<unknown> {
  const count = child.said.length;
  child.process.send(message);
  const isOver = () => child.process.exitCode !== null || child.process.signalCode !== null;
  await until(() => child.said.length > count || isOver(), 'the child answers', 60_000);
  if (child.said.length === count) throw new Error('the child has ended');
  return child.said[count];
}
