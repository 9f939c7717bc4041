import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Profile } from '../measurement.js';
import type { Faults } from './bare-bus.js';
import type { Answers, Usage } from './child.js';

export interface ServerOptions {
  /** Flags of Node, such as --cpu-prof. */
  nodeFlags: readonly string[];
}

/** A server under test, in a process of its own. */
export class ServerProcess {
  private constructor(
    readonly port: number,
    private readonly child: ChildProcess,
  ) {}

  static startBare(options: ServerOptions, faults: Faults = {}): Promise<ServerProcess> {
    return ServerProcess.#start('./bare.js', [JSON.stringify(faults)], options);
  }

  /** `url`: a database that was migrated. */
  static startPostbus(url: string, options: ServerOptions): Promise<ServerProcess> {
    return ServerProcess.#start('./postbus.js', [url], options);
  }

  static async #start(script: string, args: string[], { nodeFlags }: ServerOptions): Promise<ServerProcess> {
    const child = fork(new URL(script, import.meta.url), args, { execArgv: [...nodeFlags] });
    const port = await new Promise<number>((resolve, reject) => {
      child.once('message', (message: { port: number }) => resolve(message.port));
      child.once('exit', (code) => reject(new Error(`${script} ended with ${code} before it listened`)));
    });
    return new ServerProcess(port, child);
  }

  usage(): Promise<Usage> {
    return this.#ask('usage');
  }

  /** Where the time of this process goes while `work` is under way. */
  async profile(of: string, work: () => Promise<unknown>): Promise<Profile> {
    await this.#ask('begin profile');
    await work();
    return { of, shares: await this.#ask('end profile') };
  }

  #ask<Question extends keyof Answers>(question: Question): Promise<Answers[Question]> {
    return new Promise((resolve, reject) => {
      this.child.once('message', (answer: Answers[Question]) => resolve(answer));
      this.child.send(question, (error) => error && reject(error));
    });
  }

  /** Bytes of memory with a share of what is shared; undefined where the system does not tell. */
  get proportionalMemory(): number | undefined {
    try {
      const rollup = readFileSync(`/proc/${this.child.pid}/smaps_rollup`, 'latin1');
      return Number(/^Pss: +(\d+) kB/m.exec(rollup)?.[1]) * 1024;
    } catch {
      return undefined;
    }
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** As a crash would. */
  async kill(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.disconnect();
    await exited;
  }
}
