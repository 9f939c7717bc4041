import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import type { TestDatabase } from './database.js';
import { until } from './until.js';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** Nodes on a test's database, each a process of its own, as they are in production; ended with the test. */
export class NodeProcesses {
  readonly #processes = new Map<number, ChildProcess>();
  /** The data of the messages that each has received since it started, of all channels. */
  readonly received = new Map<number, unknown[]>();

  constructor(
    t: Test,
    private readonly database: TestDatabase,
  ) {
    t.teardown(() => Promise.all([...this.#processes.keys()].map((pid) => this.kill(pid))));
  }

  /** `url`: another way to the database. */
  start(url = this.database.url): number {
    const node = spawn(process.execPath, [cli, 'subscribe', '--all'], {
      env: { ...process.env, DATABASE_URL: url, NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    if (!node.pid) throw new Error('no process');
    this.#processes.set(node.pid, node);
    const received: unknown[] = [];
    this.received.set(node.pid, received);
    createInterface(node.stdout).on('line', (line) => received.push(JSON.parse(line).data));
    return node.pid;
  }

  async kill(pid: number): Promise<void> {
    const node = this.#processes.get(pid);
    if (!node) return;
    this.#processes.delete(pid);
    const ended = once(node, 'exit');
    node.kill('SIGKILL');
    await ended;
  }

  signal(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#processes.get(pid)?.kill(signal);
  }

  /** Waits until one of these relays, any of ours unless said otherwise, and tells which. */
  async relaying(pids?: number[]): Promise<number> {
    let relaying = 0;
    await until(async () => {
      const [row] = await this.database.query<{ node: string }>(
        `select node from message_bus.relay_state() where seen_at > clock_timestamp() - interval '1 s'`,
      );
      relaying = Number(row?.node.split('/')[1]);
      return pids ? pids.includes(relaying) : this.#processes.has(relaying);
    }, 'a node relays');
    return relaying;
  }
}
