import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type pg from 'pg';
import pgListen, { type Subscriber } from 'pg-listen';

export interface ListenerOptions {
  connection: pg.ClientConfig;
  /** Asked for before each connect: the NOTIFY channel is a secret kept in the database. */
  channel: () => Promise<string>;
  onPayload: (payload: string) => void;
  /** Payloads come in from now on; earlier ones may have been missed. */
  onConnected: () => void;
  /** None come in until the next onConnected. */
  onDisconnected: (error: unknown) => void;
}

const minRetryMs = 50;
const maxRetryMs = 2_000;
// A connection whose other end vanished without a word is noticed by a query that gets no answer.
const checkEveryMs = 15_000;
const queryTimeoutMs = 10_000;
const closeGraceMs = 500;

interface Connection {
  subscriber: Subscriber;
  /** Where the other end has vanished, a polite close waits for ever. */
  destroy: () => void;
}

/**
 * The one connection that LISTENs. It is never inside a transaction (nothing would be delivered), and does nothing
 * else. pg-listen holds one connection; when that is lost, this starts another one, for as long as it takes.
 */
export class Listener {
  #running: Promise<void> | undefined;
  #closed = false;
  #wake: () => void = () => {};
  #lose: (error: unknown) => void = () => {};

  constructor(private readonly options: ListenerOptions) {}

  /** Connects in the background, and again after each loss. */
  start(): void {
    if (!this.#closed) this.#running ??= this.#run();
  }

  /** Gives the connection up for another one. */
  drop(error: unknown): void {
    this.#lose(error);
  }

  /** Resolves when the connection is closed and nothing is left to fire. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#closed) {
      const error = await this.#listenUntilLost(() => {
        failures = 0;
      });
      if (this.#closed) return;
      this.options.onDisconnected(error);
      await this.#sleep(Math.min(maxRetryMs, minRetryMs * 2 ** Math.min(failures++, 10)) * (0.5 + Math.random() / 2));
    }
  }

  /** One connection's life; resolves to why it ended. */
  async #listenUntilLost(onConnected: () => void): Promise<unknown> {
    let connection: Connection | undefined;
    try {
      const channel = await this.options.channel();
      if (this.#closed) return undefined;
      connection = this.#newConnection();
      const { events, notifications } = connection.subscriber;
      const lost = new Promise<unknown>((resolve) => {
        events.on('error', resolve);
        this.#wake = () => resolve(undefined);
        this.#lose = resolve;
      });
      notifications.on(channel, (payload: unknown) => this.options.onPayload(String(payload)));
      await Promise.race([connect(connection.subscriber, channel), lost.then(rejectWith)]);
      if (this.#closed) return undefined;
      onConnected();
      this.options.onConnected();
      return await lost;
    } catch (error) {
      return error;
    } finally {
      this.#wake = () => {};
      this.#lose = () => {};
      if (connection) await end(connection);
    }
  }

  #newConnection(): Connection {
    const { connection } = this.options;
    const connect = connection.stream ?? (() => new Socket());
    let stream: Duplex | undefined;
    const subscriber = pgListen.default(
      {
        ...connection,
        application_name: 'postbus listener',
        query_timeout: queryTimeoutMs,
        connectionTimeoutMillis: queryTimeoutMs,
        stream: (...settings: unknown[]) => {
          stream = Reflect.apply(connect, undefined, settings);
          return stream;
        },
      },
      // retryLimit 1 means no attempt of its own: it would keep the old name of the channel, not notice that it was
      // closed meanwhile, and give up for good where the first query on a new connection fails.
      { retryLimit: 1, paranoidChecking: checkEveryMs, parse: (payload) => payload },
    );
    return { subscriber, destroy: () => stream?.destroy() };
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

async function connect(subscriber: Subscriber, channel: string): Promise<void> {
  await subscriber.connect();
  await subscriber.listenTo(channel);
}

async function end({ subscriber, destroy }: Connection): Promise<void> {
  const grace = setTimeout(destroy, closeGraceMs);
  // What fails here is the end of a connection that is being given up.
  await subscriber.close().catch(() => {});
  clearTimeout(grace);
  destroy();
}
