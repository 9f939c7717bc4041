import type { Database } from '../database/database.js';
import { channelKey } from '../foundation/checks.js';
import { readTrace } from '../foundation/trace.js';
import { Batch } from '../messages/frame.js';
import { StoredMessage, toTargets } from '../messages/message.js';
import { QueryBatcher } from './query-batcher.js';
import { traceRead } from './trace-read.js';

/** The version of the settings and the time for which an answer of the database is true. */
export interface Terms {
  version: number;
  /** When the database answered, in microseconds of its clock. */
  now: number;
  /** When we asked, in milliseconds of our clock (performance.now()). `now` is not earlier than this moment. */
  askedAt: number;
}

/** Tells whether the messages in memory are all that a channel has. */
export interface Head {
  lastId: number;
  terms: Terms;
}

/** What a read found: the messages after the id asked for, up to `upTo`, and the last id at that moment. */
export interface ReadResult {
  lastId: number;
  /** Less than lastId if there is more than a page: the next read goes on after this id. */
  upTo: number;
  batch: Batch;
}

/** What a read of one channel found. */
export interface ChannelResult extends ReadResult {
  /** The first id that the backlog sizes let be read. */
  firstId: number;
  terms: Terms;
}

interface Row {
  message_id: number | null;
  global_id: number;
  user_ids: string[] | null;
  group_ids: string[] | null;
  client_ids: string[] | null;
  data: string;
}

/** The last row of a read has no message; it tells where the read ended. */
interface PageRow extends Row {
  up_to: number | null;
}

interface ChannelRow extends PageRow {
  request: number;
  last_id: number;
  version: number;
  first_id: number;
  expires: number;
  now: number;
}

interface Channel {
  site: string;
  channel: string;
}

interface Request extends Channel {
  after: number;
}

/** How far a node has come in a channel, or among all messages. */
export interface Seen {
  /** '' for no site. */
  site: string;
  /** Null: all messages of the bus, by global id. */
  channel: string | null;
  /** The id of the last message; undefined if the node knows of none. */
  lastId: number | undefined;
  /**
   * What the last message is recognized by: its global id, and when it expires (µs, database clock). Undefined if this
   * node has not seen it.
   */
  mark: { globalId: number; expires: number } | undefined;
  /** When the node was last in step with the database, in microseconds of the database's clock. */
  at: number;
}

// Maximum number of pages in a query: clients that come back all together, each at another id, must not fill the
// memory.
const maxPages = 64;
const maxHeads = 1000;

/** Reads the tables. The questions asked in one turn of the event loop go into one query. */
export class Reader {
  readonly #pages = new QueryBatcher<Request, ChannelResult>((requests) => this.#readPages(requests), maxPages);
  readonly #heads = new QueryBatcher<Channel, Head>((channels) => this.#readHeads(channels), maxHeads);

  readonly #places = new QueryBatcher<Seen, number | null>((seen) => this.#findPlaces(seen), maxHeads);

  constructor(private readonly database: Database) {}

  /**
   * Finds where to go on after the past has turned out to be another one. Resolves to an id, after which this node has
   * seen nothing; null if the last message seen is still the same one.
   */
  findPlace(seen: Seen): Promise<number | null> {
    return this.#places.ask(JSON.stringify(seen), seen);
  }

  /**
   * Reads a page of a channel. `after`: an id; -1: nothing except the last id; -2: the last message; -3: the last two …
   */
  read(site: string, channel: string, after: number): Promise<ChannelResult> {
    const result = this.#pages.ask(`${after}\t${channelKey(site, channel)}`, { site, channel, after });
    if (readTrace.isOn) traceRead('tables', site, channel, after, result);
    return result;
  }

  /** Asks for a channel's last id, which costs much less than reading the channel. */
  head(site: string, channel: string): Promise<Head> {
    return this.#heads.ask(channelKey(site, channel), { site, channel });
  }

  async readOne(site: string, channel: string, messageId: number): Promise<StoredMessage | undefined> {
    const [row] = await this.database.read<Row>(
      `select $3::bigint as message_id, m.* from ${this.database.name('read_message')}($1, $2, $3) m`,
      [site, channel, messageId],
    );
    return row && toMessage(row, site, channel);
  }

  /** Reads a page of the messages of all channels, by global id. `after`: as in read(), but a global id. */
  readGlobal(after: number): Promise<ReadResult> {
    const result = this.#readGlobal(after);
    if (readTrace.isOn) traceRead('tables', '', null, after, result);
    return result;
  }

  async #readGlobal(after: number): Promise<ReadResult> {
    const rows = await this.database.read<PageRow & { last_global_id: number; site: string; channel: string }>(
      `select * from ${this.database.name('read_global')}($1)`,
      [after],
    );
    const messages = rows.filter((row) => row.message_id !== null).map((row) => toMessage(row, row.site, row.channel));
    const end = rows.at(-1);
    return { lastId: end?.last_global_id ?? 0, upTo: end?.up_to ?? 0, batch: new Batch(messages) };
  }

  async #readPages(requests: readonly Request[]): Promise<ChannelResult[]> {
    const askedAt = performance.now();
    const rows = await this.database.read<ChannelRow>(
      `select * from ${this.database.name('read_channels')}($1, $2, $3)`,
      [requests.map((r) => r.site), requests.map((r) => r.channel), requests.map((r) => r.after)],
    );
    const results: ChannelResult[] = [];
    let messages: StoredMessage[] = [];
    for (const row of rows) {
      const request = requests[row.request];
      if (request && row.message_id !== null) {
        messages.push(toMessage(row, request.site, request.channel, row.expires));
      } else {
        results.push({
          lastId: row.last_id,
          upTo: row.up_to ?? row.last_id,
          batch: new Batch(messages),
          firstId: row.first_id,
          terms: { version: row.version, now: row.now, askedAt },
        });
        messages = [];
      }
    }
    return results;
  }

  async #findPlaces(seen: readonly Seen[]): Promise<(number | null)[]> {
    const [row] = await this.database.read<{ places: (string | null)[] }>(
      `select ${this.database.name('find_places')}($1, $2, $3, $4, $5, $6) as places`,
      [
        seen.map(({ site }) => site),
        seen.map(({ channel }) => channel),
        seen.map(({ lastId }) => lastId),
        seen.map(({ mark }) => mark?.globalId),
        seen.map(({ mark }) => mark?.expires),
        Math.floor(Math.max(...seen.map(({ at }) => at))),
      ],
    );
    return (row?.places ?? []).map((place) => (place === null ? null : Number(place)));
  }

  async #readHeads(channels: readonly Channel[]): Promise<Head[]> {
    const askedAt = performance.now();
    const [row] = await this.database.read<{ last_ids: string[]; version: number; now: number }>(
      `select * from ${this.database.name('read_heads')}($1, $2)`,
      [channels.map((c) => c.site), channels.map((c) => c.channel)],
    );
    if (!row) return [];
    const terms = { version: row.version, now: row.now, askedAt };
    return row.last_ids.map((lastId) => ({ lastId: Number(lastId), terms }));
  }
}

function toMessage(row: Row, site: string, channel: string, expires = 0): StoredMessage {
  const targets = toTargets(row.user_ids, row.group_ids, row.client_ids);
  return new StoredMessage(row.global_id, row.message_id ?? 0, site, channel, targets, row.data, expires);
}
