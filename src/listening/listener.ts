import type { ListeningConnection } from '../database/postgres.js';

export interface ListenerOptions {
  newConnection: () => ListeningConnection;
  /** Called before each connect, because the NOTIFY channel is a secret kept in the database. */
  channel: () => Promise<string>;
  onPayload: (payload: string) => void;
  /** Called when payloads begin to come in; earlier ones may have been missed. */
  onConnected: (connection: ListeningConnection) => void;
  /** Called when no payloads come in until the next onConnected: the connection was lost, or could not be made. */
  onDisconnected: (error: unknown) => void;
}

const minRetryMs = 50;
const maxRetryMs = 2_000;

/** Holds one connection that LISTENs. When it is lost, starts another one, and tries for as long as it takes. */
export class Listener {
  #running: Promise<void> | undefined;
  #failures = 0;
  #closed = false;
  #wake: () => void = () => {};
  #lose: (error: unknown) => void = () => {};

  constructor(private readonly options: ListenerOptions) {}

  /** Connects in the background, and again after each loss of the connection. */
  start(): void {
    if (!this.#closed) this.#running ??= this.#run();
  }

  /** Called when the connection has proved to work: after its loss, the first pause is the shortest one again. */
  trust(): void {
    this.#failures = 0;
  }

  /** Gives the connection up for another one; `error` says why. */
  drop(error: unknown): void {
    this.#lose(error);
  }

  /** Resolves when the connection is closed and no timer is left. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const error = await this.#listenUntilLost();
      if (this.#closed) return;
      this.options.onDisconnected(error);
      const pause = Math.min(maxRetryMs, minRetryMs * 2 ** Math.min(this.#failures++, 10));
      await this.#sleep(pause * (0.5 + Math.random() / 2));
    }
  }

  /** Runs one connection from beginning to end; resolves to the reason why it ended. */
  async #listenUntilLost(): Promise<unknown> {
    let connection: ListeningConnection | undefined;
    try {
      const channel = await this.options.channel();
      if (this.#closed) return undefined;
      connection = this.options.newConnection();
      const givenUp = new Promise<unknown>((resolve) => {
        this.#wake = () => resolve(undefined);
        this.#lose = resolve;
      });
      const lost = Promise.race([connection.lost, givenUp]);
      const listening = connection.listen(channel, (payload) => this.options.onPayload(payload));
      await Promise.race([listening, lost.then(rejectWith)]);
      if (this.#closed) return undefined;
      this.options.onConnected(connection);
      return await lost;
    } catch (error) {
      return error;
    } finally {
      this.#wake = () => {};
      this.#lose = () => {};
      await connection?.close();
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function rejectWith(error: unknown): never {
  throw error ?? new Error('closed');
}
