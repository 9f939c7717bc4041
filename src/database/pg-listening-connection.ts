import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type pg from 'pg';
import pgListen, { type Subscriber } from 'pg-listen';
import { errors } from '../foundation/errors.js';
import { areSettingsRefused, withListeningSettings } from './listening-session.js';
import type { ListeningConnection } from './postgres.js';
import { resultTypes } from './result-types.js';

// A connection whose other end vanished without a word is noticed by a query that gets no answer: within 11 s. It asks for
// the number of its backend, for which Postgres does next to nothing.
const checkEveryMs = 6_000;
// Shorter, so that no question waits behind another.
const checkTimeoutMs = 5_000;
const connectTimeoutMs = 10_000;
const closeGraceMs = 500;

// Nobody listens to it. A transaction that notifies is what has Postgres look through all that was sent.
const question = 'postbus_question';

/** Never inside a transaction, where nothing would be delivered: it does nothing else. pg-listen holds it. */
export class PgListeningConnection implements ListeningConnection {
  readonly #config: pg.ClientConfig;
  #subscriber: Subscriber | undefined;
  #stream: Duplex | undefined;
  #isConnected = false;
  #isClosed = false;
  #lose: (reason: Error) => void = () => {};
  readonly lost: Promise<unknown>;

  constructor(config: pg.ClientConfig) {
    this.#config = config;
    this.lost = new Promise((resolve) => {
      this.#lose = resolve;
    });
  }

  async listen(channel: string, onPayload: (payload: string) => void): Promise<void> {
    let subscriber = this.#newSubscriber(withListeningSettings(this.#config));
    try {
      await subscriber.connect();
    } catch (error) {
      if (this.#isClosed || !areSettingsRefused(error)) throw error;
      subscriber.close().catch(() => {});
      subscriber = this.#newSubscriber(this.#config);
      await subscriber.connect();
    }
    this.#isConnected = true;
    subscriber.notifications.on(channel, (payload: unknown) => onPayload(String(payload)));
    await subscriber.listenTo(channel);
  }

  async ask(): Promise<unknown> {
    return this.#subscriber?.notify(question);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    // Where the other end has vanished, a polite close waits for ever.
    const grace = setTimeout(() => this.#stream?.destroy(), closeGraceMs);
    // What fails here is the end of a connection that is being given up.
    await this.#subscriber?.close().catch(() => {});
    clearTimeout(grace);
    this.#stream?.destroy();
  }

  #newSubscriber(config: pg.ClientConfig): Subscriber {
    const connect = config.stream ?? (() => new Socket());
    const subscriber = pgListen.default(
      {
        ...config,
        types: resultTypes,
        application_name: 'postbus listener',
        query_timeout: checkTimeoutMs,
        connectionTimeoutMillis: connectTimeoutMs,
        stream: (...settings: unknown[]) => {
          const stream: Duplex = Reflect.apply(connect, undefined, settings);
          this.#stream = stream;
          return stream;
        },
      },
      // retryLimit 1 means no attempt of its own: it would keep the old name of the channel, not notice that it was
      // closed meanwhile, and give up for good where the first query on a new connection fails.
      { retryLimit: 1, paranoidChecking: checkEveryMs, parse: (payload) => payload },
    );
    // pg-listen speaks of an attempt to reconnect that it was not to make. Before it has connected, connect() tells.
    subscriber.events.on('error', () => {
      if (this.#isConnected) this.#lose(new errors.CONNECTION_LOST('the one that listens has ended'));
    });
    this.#subscriber = subscriber;
    return subscriber;
  }
}
