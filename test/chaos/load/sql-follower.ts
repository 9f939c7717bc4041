import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { identify } from '../accounting/publication.js';
import { Reader } from '../accounting/reader.js';

/** Follows all channels by the catch-up rule of docs/protocol-sql.md, and by nothing else of ours. */
export class SqlFollower {
  readonly reader = new Reader({ name: 'follower in SQL' });
  #last = 0;
  #isStopped = false;
  readonly #running: Promise<void>;

  constructor(private readonly url: () => string) {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const client = new pg.Client({
        connectionString: this.url(),
        application_name: 'chaos follower',
        connectionTimeoutMillis: 2_000,
        query_timeout: 8_000,
      });
      try {
        await this.#follow(client);
      } catch {
        this.reader.reconnects++;
        await delay(50);
      }
      void client.end().catch(() => {});
    }
  }

  async #follow(client: pg.Client): Promise<void> {
    let isNews = true;
    let failure: Error | undefined;
    client.on('notification', () => {
      isNews = true;
    });
    client.on('error', (error) => {
      failure = error;
    });
    await client.connect();
    const { rows } = await client.query('select message_bus.notify_channel() as name');
    await client.query(`listen ${client.escapeIdentifier(String(rows[0]?.name))}`);
    let readAt = 0;
    while (!this.#isStopped) {
      if (failure) throw failure;
      if (isNews || Date.now() - readAt > 1_000) {
        isNews = false;
        readAt = Date.now();
        await this.#catchUp(client);
      } else {
        await delay(5);
      }
    }
  }

  async #catchUp(client: pg.Client): Promise<void> {
    const text = `select global_id::float8 as "globalId", message_id::float8 as "messageId", channel, site_id as "siteId", data
      from message_bus.global_backlog($1)`;
    const { rows } = await client.query(text, [this.#last]);
    const at = Date.now();
    for (const { globalId, messageId, channel, siteId, data } of rows) {
      this.#last = globalId;
      this.reader.receive({ globalId, messageId, channel, siteId, ...identify(data), at });
    }
  }
}
