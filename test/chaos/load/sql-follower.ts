import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { identify } from '../accounting/publication.js';
import { Reader } from '../accounting/reader.js';

/** Follows all channels by the catch-up rule of docs/protocol-sql.md, and by nothing else of ours. */
export class SqlFollower {
  readonly reader = new Reader({ name: 'follower in SQL' });
  #last = 0;
  #publishedAt = '-infinity';
  #incarnation: string | undefined;
  #isConnected = false;
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
    this.#isConnected = false;
    client.on('notification', () => {
      isNews = true;
    });
    client.on('error', (error) => {
      failure = error;
    });
    await client.connect();
    const name = await askName(client);
    await client.query(`listen ${client.escapeIdentifier(name)}`);
    let readAt = 0;
    while (!this.#isStopped) {
      if (failure) throw failure;
      if (isNews || Date.now() - readAt > 1_000) {
        isNews = false;
        readAt = Date.now();
        await this.#catchUp(client);
        if ((await askName(client)) !== name) throw new Error('the bus notifies on another channel now');
      } else {
        await delay(5);
      }
    }
  }

  async #catchUp(client: pg.Client): Promise<void> {
    const text = `
      select i.incarnation, g.global_id::float8 as "globalId", g.message_id::float8 as "messageId", g.channel,
        g.site_id as "siteId", g.data, g.published_at::text as "publishedAt"
      from message_bus.incarnation() i(incarnation) left join message_bus.global_backlog($1) g on true`;
    const { rows } = await client.query(text, [this.#last]);
    const at = Date.now();
    const { incarnation } = rows[0];
    const isSame = this.#incarnation === incarnation;
    if (this.#last > 0 && !(isSame && this.#isConnected)) {
      await this.#findPlace(client, isSame);
      this.#incarnation = incarnation;
      this.#isConnected = true;
      await this.#catchUp(client);
      return;
    }
    this.#incarnation = incarnation;
    this.#isConnected = true;
    for (const { globalId, messageId, channel, siteId, data, publishedAt } of rows) {
      // The row of a bus that has nothing new.
      if (globalId === null) continue;
      this.#last = globalId;
      this.#publishedAt = publishedAt;
      this.reader.receive({ globalId, messageId, channel, siteId, ...identify(data), at });
    }
  }

  /** The ids may count other messages now. Data files that were put back have the incarnation that they had. */
  async #findPlace(client: pg.Client, isSameIncarnation: boolean): Promise<void> {
    const look = `
      select (select max(global_id) from message_bus.global_backlog($1 - 1)) >= $1 as "isReached",
        (select published_at = $2 from message_bus.global_backlog($1 - 1) where global_id = $1) as "isKnown"`;
    const { rows: found } = await client.query(look, [this.#last, this.#publishedAt]);
    const { isReached, isKnown } = found[0];
    if (isKnown === true || (isKnown === null && isReached === true && isSameIncarnation)) return;
    this.reader.gaps.push(`found another past after ${this.#last}`);
    const place = `
      select coalesce(min(global_id) - 1, (select max(global_id) from message_bus.global_backlog()), 0)::float8 as place
      from message_bus.global_backlog() where published_at > $1`;
    const { rows } = await client.query(place, [this.#publishedAt]);
    this.#last = rows[0].place;
  }
}

async function askName(client: pg.Client): Promise<string> {
  const { rows } = await client.query('select message_bus.notify_channel() as name');
  return String(rows[0].name);
}
