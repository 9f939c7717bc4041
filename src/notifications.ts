import type { Database } from './database/database.js';
import { Listener } from './database/listener.js';
import type { Dispatcher } from './dispatcher/dispatcher.js';
import { errors } from './errors.js';
import type { Logger } from './logger.js';
import { parsePayload } from './notification.js';
import { OnceAMinute } from './once-a-minute.js';

export interface NotificationsOptions {
  database: Database;
  dispatcher: Dispatcher;
  logger: Logger;
}

/** What NOTIFY brings in: listens for it, verifies it and hands it to the dispatcher. */
export class Notifications {
  readonly #listener: Listener;
  readonly #forgeries: OnceAMinute;
  #key: Buffer | undefined;
  #isOutageReported = false;

  constructor(private readonly options: NotificationsOptions) {
    const { database, dispatcher, logger } = options;
    this.#forgeries = new OnceAMinute((count) =>
      logger.warn({ count }, 'ignored notifications that are not from this bus'),
    );
    this.#listener = new Listener({
      connection: database.connection,
      channel: () => this.askChannel(),
      onPayload: (payload) => this.#receive(payload),
      onConnected: () => {
        this.#isOutageReported = false;
        dispatcher.connected();
      },
      onDisconnected: (err) => {
        dispatcher.disconnected();
        // Once an outage.
        if (!this.#isOutageReported) logger.warn({ err }, 'not listening to Postgres; trying again');
        this.#isOutageReported = true;
      },
    });
  }

  start(): void {
    this.#listener.start();
  }

  async close(): Promise<void> {
    await this.#listener.close();
  }

  /** The NOTIFY channel, a secret kept in the database together with the key that payloads are signed with. */
  async askChannel(): Promise<string> {
    const { database } = this.options;
    const rows = await database.read<{ notify_channel: string; notify_key: Buffer }>(
      `select notify_channel, notify_key from ${database.name('node_state')}()`,
    );
    const state = rows[0];
    if (!state?.notify_channel) throw new errors.NO_SCHEMA(database.schema);
    this.#key = state.notify_key;
    return state.notify_channel;
  }

  #receive(payload: string): void {
    const notices = this.#key && parsePayload(payload, this.#key);
    if (notices) this.options.dispatcher.announce(notices);
    else this.#forgeries.note();
  }
}
