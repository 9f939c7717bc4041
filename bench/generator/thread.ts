import { parentPort, Worker } from 'node:worker_threads';

/** What a thread can be asked to do: each by one argument, which is copied, as is the answer. */
type Handlers = Record<string, (argument: never) => unknown>;

interface Request {
  id: number;
  name: string;
  argument: unknown;
}

/** A worker thread that serves calls of the functions that its script hands to serve(). */
export class Thread<Served extends Handlers> {
  readonly #worker: Worker;
  #calls = 0;
  #utilization;

  constructor(script: URL) {
    this.#worker = new Worker(script);
    this.#worker.setMaxListeners(0);
    this.#utilization = this.#worker.performance.eventLoopUtilization();
  }

  call<Name extends keyof Served & string>(
    name: Name,
    ...[argument]: Parameters<Served[Name]>
  ): Promise<Awaited<ReturnType<Served[Name]>>> {
    const id = ++this.#calls;
    return new Promise((resolve, reject) => {
      const stop = () => {
        this.#worker.off('message', onAnswer);
        this.#worker.off('error', onError);
      };
      const onAnswer = (answer: { id: number; value: Awaited<ReturnType<Served[Name]>>; error: Error | undefined }) => {
        if (answer.id !== id) return;
        stop();
        if (answer.error) reject(answer.error);
        else resolve(answer.value);
      };
      const onError = (error: Error) => {
        stop();
        reject(error);
      };
      this.#worker.on('message', onAnswer);
      this.#worker.on('error', onError);
      this.#worker.postMessage({ id, name, argument } satisfies Request);
    });
  }

  /** Share of the time since the last call of this in which the thread was busy. */
  busy(): number {
    const before = this.#utilization;
    this.#utilization = this.#worker.performance.eventLoopUtilization();
    return this.#worker.performance.eventLoopUtilization(this.#utilization, before).utilization;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** Serves calls, in the thread. */
export function serve(handlers: Handlers): void {
  const port = parentPort;
  if (port === null) throw new Error('This script is for a worker thread.');
  port.on('message', async ({ id, name, argument }: { id: number; name: string; argument: never }) => {
    try {
      port.postMessage({ id, value: await handlers[name]?.(argument) });
    } catch (error) {
      port.postMessage({ id, error });
    }
  });
}
