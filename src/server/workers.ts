import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ServerOptions } from './create-server.js';
import type { Address } from './http-server.js';
import { createLogger } from './log.js';

/** The task of a worker, which it reads from its environment. */
export interface WorkerTask {
  options: ServerOptions;
  address: Address;
}

/** The first message of a worker: the port on which it listens, or the error that keeps it from listening. */
export type WorkerReport = { port: number } | { code: string | undefined; message: string; stack: string | undefined };

export const taskVariable = 'postbus_worker';

interface Child {
  worker: Worker;
  listening: Promise<number>;
  ended: Promise<void>;
  since: number;
}

// A worker that ends after `steadyMs` is replaced after the shortest pause. Otherwise the pause doubles each time.
const steadyMs = 60_000;
const minPauseMs = 250;
const maxPauseMs = 10_000;

/**
 * Processes that serve one address. The primary (this process) accepts connections and passes them on, to each worker
 * in turn. A worker is a node like any other; workers know nothing of each other.
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

  /** Starts the workers. Resolves to the port once all of them listen. Rejects if the first one cannot listen. */
  async start(): Promise<number> {
    cluster.setupPrimary({ exec: fileURLToPath(new URL('./worker.js', import.meta.url)), args: [] });
    // The other workers ask for the same address, even if its port is 0, and so share the port of the first one.
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

  /** Stops all workers, each in the way of a single server. Resolves once they have ended. */
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

  /** Replaces a worker each time that it ends, until close(). Calls `onListening` when one listens. */
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
