import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../helpers/free-port.js';
import { Reader } from '../accounting/reader.js';
import type { Stage } from '../stage.js';
import type { NodeConfig, NodeReport } from './node-protocol.js';

const program = fileURLToPath(new URL('node-program.js', import.meta.url));

/** One node, a process of its own: started, stopped, killed, frozen and started again on the same port. */
export class ChaosNode {
  /** What its subscriber to all channels receives; each start goes on from where the one before got to. */
  readonly reader: Reader;
  #child: ChildProcess | undefined;
  #isStopping = false;

  private constructor(
    readonly name: string,
    /** Asked at each start. */
    private readonly databaseUrl: () => string,
    private readonly port: number,
  ) {
    this.reader = new Reader({ name: `subscriber of ${name}` });
  }

  static async start(stage: Stage, name: string, databaseUrl: () => string): Promise<ChaosNode> {
    const node = new ChaosNode(name, databaseUrl, await freePort());
    stage.teardown(() => node.kill());
    await node.start();
    return node;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  async start(): Promise<void> {
    const config: NodeConfig = {
      databaseUrl: this.databaseUrl(),
      port: this.port,
      lastGlobalId: this.reader.position,
      longPollingIntervalMs: 2_000,
      keepaliveIntervalMs: 1_000,
    };
    const child = fork(program, [JSON.stringify(config)], {
      execArgv: [],
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child = child;
    let connections = 0;
    const ready = new Promise<void>((resolve, reject) => {
      child.on('message', (report: NodeReport) => {
        if (report.type === 'ready') resolve();
        else if (report.type === 'connected') this.reader.reconnects += Math.min(connections++, 1);
        else if (report.type === 'received') this.reader.receive(...report.messages);
        else this.reader.gaps.push(`was told of a gap after ${report.after} before ${report.firstId}`);
      });
      child.once('exit', (code, signal) => {
        reject(new Error(`${this.name} ended with ${code ?? signal}`));
        if (this.#child === child && !this.#isStopping) {
          this.reader.complaints.push(`its node ended by itself, with ${code ?? signal}`);
        }
      });
    });
    await ready;
  }

  /** As a deployment does it: SIGTERM, and the process ends by itself. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    const exited = once(child, 'exit');
    this.#isStopping = true;
    child.kill('SIGTERM');
    const forced = setTimeout(() => child.kill('SIGKILL'), 15_000);
    const [code] = await exited;
    clearTimeout(forced);
    this.#child = undefined;
    this.#isStopping = false;
    if (code !== 0) this.reader.complaints.push(`its node did not end by itself after SIGTERM, but with ${code}`);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    this.#child = undefined;
    // Reports that were on their way count: they were received.
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }

  /** Resident memory, in bytes. */
  async memory(): Promise<number> {
    const response = await fetch(`${this.url}/memory`);
    return Number(Object(await response.json()).bytes);
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }
}
