import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ServerOptions } from './create-server.js';
import type { Address } from './http-server.js';
import { createLogger } from './log.js';

/** What a worker is to do; it finds it in its environment. */
export interface WorkerTask {
  options: ServerOptions;
  address: Address;
}

/** A worker's first word: where it listens, or why it does not. */
export type WorkerReport = { port: number } | { code: string | undefined; message: string; stack: string | undefined };

export const taskVariable = 'postbus_worker';

interface Child {
  worker: Worker;
  listening: Promise<number>;
  ended: Promise<void>;
  since: number;
}

// A worker that has lived for so long is replaced soon, others after a pause that doubles with each.
const steadyMs = 60_000;
const minPauseMs = 250;
const maxPauseMs = 10_000;

/**
 * Processes that serve one address: this one takes connections and passes them on, to each in turn. A worker is a node
 * like any other; they know nothing of each other.
 */
export class Workers {
  readonly #closing = new AbortController();
  readonly #log;

  constructor(
    private readonly task: WorkerTask,
    private readonly count: number,
  ) {
    this.#log = createLogger(task.options.logLevel);
  }

  /** Resolves to the port, when all listen. Whether it can be served at all, the first one finds out. */
  async start(): Promise<number> {
    cluster.setupPrimary({ exec: fileURLToPath(new URL('./worker.js', import.meta.url)), args: [] });
    // The others ask for the same address, a free port too, and so share what the first one got.
    const first = this.#fork();
    const port = await first.listening;
    void this.#keepUp(first, () => {});
    const others = Array.from(
      { length: this.count - 1 },
      () => new Promise<void>((resolve) => void this.#keepUp(this.#fork(), resolve)),
    );
    await Promise.all(others);
    return port;
  }

  /** Ends all, each as a server of its own would. */
  async close(): Promise<void> {
    this.#closing.abort();
    const ends = Object.values(cluster.workers ?? {}).map(async (worker) => {
      if (!worker || worker.isDead()) return;
      const exit = once(worker, 'exit');
      worker.process.kill('SIGTERM');
      await exit;
    });
    await Promise.all(ends);
  }

  #fork(): Child {
    const worker = cluster.fork({ [taskVariable]: JSON.stringify(this.task) });
    const listening = new Promise<number>((resolve, reject) => {
      worker.once('message', (report: WorkerReport) => {
        if ('port' in report) resolve(report.port);
        else reject(Object.assign(new Error(report.message), report));
      });
      worker.once('error', reject);
      worker.once('exit', (code, signal) => reject(new Error(`it ended with ${signal ?? code} before it listened`)));
    });
    const ended = new Promise<void>((resolve) => {
      worker.once('error', () => resolve());
      worker.once('exit', () => resolve());
    });
    return { worker, listening, ended, since: performance.now() };
  }

  /** Puts another worker in the place of one that ends. */
  async #keepUp(child: Child, onListening: () => void): Promise<void> {
    const { signal } = this.#closing;
    for (let pause = minPauseMs; ; pause = Math.min(2 * pause, maxPauseMs)) {
      let err: unknown;
      await child.listening.then(onListening, (error) => {
        err = error;
      });
      await child.ended;
      if (signal.aborted) return;
      if (performance.now() - child.since > steadyMs) pause = minPauseMs;
      const { pid, exitCode, signalCode } = child.worker.process;
      this.#log.error({ err, worker: pid, exitCode, signalCode, pause }, 'a worker has ended; it will be replaced');
      await delay(pause, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      child = this.#fork();
    }
  }
}
