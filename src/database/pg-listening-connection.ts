import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type pg from 'pg';
import pgListen, { type Subscriber } from 'pg-listen';
import { errors } from '../foundation/errors.js';
import { areSettingsRefused, withListeningSettings } from './listening-session.js';
import type { ListeningConnection } from './postgres.js';
import { resultTypes } from './result-types.js';

// pg-listen queries the connection this often. If the other end vanished without a word, no answer comes: we notice
// within 11 s. The query asks for the number of its backend, which costs Postgres next to nothing.
const checkEveryMs = 6_000;
// Shorter than the interval, so that no query waits behind another.
const checkTimeoutMs = 5_000;
const connectTimeoutMs = 10_000;
const closeGraceMs = 500;

// A NOTIFY channel on which nobody listens. A transaction that notifies makes Postgres deliver everything that was sent
// before.
const question = 'postbus_question';

/**
 * A connection that LISTENs, by pg-listen. It does nothing else, because in a transaction no notification would be
 * delivered.
 */
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
    // If the other end has vanished, a polite close waits for ever.
    const grace = setTimeout(() => this.#stream?.destroy(), closeGraceMs);
    // A failure here concerns a connection that is being given up.
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
      // retryLimit 1 means that pg-listen never reconnects: it would keep the old name of the channel, not notice a
      // close in the meantime, and give up for good if the first query on a new connection fails.
      { retryLimit: 1, paranoidChecking: checkEveryMs, parse: (payload) => payload },
    );
    // This is the error event after the reconnect that pg-listen does not attempt. Before the first connection,
    // connect() rejects instead.
    subscriber.events.on('error', () => {
      if (this.#isConnected) this.#lose(new errors.CONNECTION_LOST('the one that listens has ended'));
    });
    this.#subscriber = subscriber;
    return subscriber;
  }
}
