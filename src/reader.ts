import { isRefusal } from './database/coded-error.js';
import type { Database } from './database/database.js';
import { Batch } from './frame.js';
import { StoredMessage, toTargets } from './message.js';

/** What a read found: messages after the id asked for, up to an id, and the last id at that moment. */
export interface ReadResult {
  lastId: number;
  /** Less than lastId where there is more than a page: the next read goes on from here. */
  upTo: number;
  batch: Batch;
}

interface Row {
  message_id: number | null;
  global_id: number;
  user_ids: string[] | null;
  group_ids: string[] | null;
  client_ids: string[] | null;
  data: string;
}

/** The last row of a read has no message, and tells where it ended. */
interface PageRow extends Row {
  up_to: number | null;
}

interface Request {
  site: string;
  channel: string;
  after: number;
  promise: Promise<ReadResult>;
  resolve: (result: ReadResult) => void;
  reject: (error: unknown) => void;
}

// More would only make smaller batches.
const maxQueries = 2;
// So many pages may come at once: clients that come back all together, each at another id, must not fill the memory.
const maxRequests = 64;

/**
 * Reads backlogs from the tables. Whatever is asked for in one turn of the event loop, or while queries are under way,
 * goes into one query, and equal requests into one part of it. A query always starts after the requests that it
 * answers: each sees every publish acknowledged before it.
 */
export class Reader {
  #waiting = new Map<string, Request>();
  #queries = 0;
  #scheduled = false;

  constructor(private readonly database: Database) {}

  /** `after`: an id; -1 nothing but the last id, -2 the last message, -3 the last two … */
  read(site: string, channel: string, after: number): Promise<ReadResult> {
    const key = `${after}\t${site}\t${channel}`;
    let request = this.#waiting.get(key);
    if (request === undefined) {
      let resolve: Request['resolve'] = () => {};
      let reject: Request['reject'] = () => {};
      const promise = new Promise<ReadResult>((onResult, onError) => {
        resolve = onResult;
        reject = onError;
      });
      request = { site, channel, after, promise, resolve, reject };
      this.#waiting.set(key, request);
      this.#schedule();
    }
    return request.promise;
  }

  async readOne(site: string, channel: string, messageId: number): Promise<StoredMessage | undefined> {
    const [row] = await this.database.read<Row>(
      `select message_id, global_id, user_ids, group_ids, client_ids, data::text as data
        from ${this.database.name('get_message')}($1, $2, $3)`,
      [channel, messageId, site === '' ? null : site],
    );
    return row && row.message_id !== null ? toMessage(row, site, channel) : undefined;
  }

  /** The same for all channels together, by global id. */
  async readGlobal(after: number): Promise<ReadResult> {
    const rows = await this.database.read<PageRow & { last_global_id: number; site: string; channel: string }>(
      `select * from ${this.database.name('read_global')}($1)`,
      [after],
    );
    const messages = rows.filter((row) => row.message_id !== null).map((row) => toMessage(row, row.site, row.channel));
    const end = rows.at(-1);
    return { lastId: end?.last_global_id ?? 0, upTo: end?.up_to ?? 0, batch: new Batch(messages) };
  }

  #schedule(): void {
    if (this.#scheduled || this.#queries >= maxQueries) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      void this.#query();
    });
  }

  async #query(): Promise<void> {
    const requests: Request[] = [];
    for (const [key, request] of this.#waiting) {
      if (requests.length === maxRequests) break;
      requests.push(request);
      this.#waiting.delete(key);
    }
    this.#queries++;
    if (this.#waiting.size > 0) this.#schedule();
    await this.#answer(requests);
    this.#queries--;
    if (this.#waiting.size > 0) this.#schedule();
  }

  /** Requests that Postgres refuses are asked again in halves: none fails for another. */
  async #answer(requests: readonly Request[]): Promise<void> {
    try {
      const rows = await this.database.read<PageRow & { request: number; last_id: number }>(
        `select * from ${this.database.name('read_channels')}($1, $2, $3)`,
        [requests.map((r) => r.site), requests.map((r) => r.channel), requests.map((r) => r.after)],
      );
      let messages: StoredMessage[] = [];
      for (const row of rows) {
        const request = requests[row.request];
        if (request && row.message_id !== null) {
          messages.push(toMessage(row, request.site, request.channel));
        } else {
          request?.resolve({ lastId: row.last_id, upTo: row.up_to ?? row.last_id, batch: new Batch(messages) });
          messages = [];
        }
      }
    } catch (error) {
      if (requests.length > 1 && isRefusal(error)) {
        const half = requests.length >> 1;
        await this.#answer(requests.slice(0, half));
        await this.#answer(requests.slice(half));
      } else {
        for (const request of requests) request.reject(error);
      }
    }
  }
}

function toMessage(row: Row, site: string, channel: string): StoredMessage {
  const targets = toTargets(row.user_ids, row.group_ids, row.client_ids);
  return new StoredMessage(row.global_id, row.message_id ?? 0, site, channel, targets, row.data);
}
