import { setTimeout as delay } from 'node:timers/promises';
import { isRefusal, isRetryable } from './database/coded-error.js';
import type { Database } from './database/database.js';

/** A message to publish, checked; its members are named as publish_many() wants them. */
export interface Publication {
  channel: string;
  /** JSON text. */
  json: string;
  userIds: string[] | undefined;
  groupIds: string[] | undefined;
  clientIds: string[] | undefined;
  siteId: string | undefined;
  maxBacklogSize: number | undefined;
  maxBacklogAge: number | undefined;
}

interface Entry {
  /** The message as publish_many() takes it. */
  json: string;
  resolve: (messageId: number) => void;
  reject: (error: unknown) => void;
}

const maxAttempts = 15;
const maxBatch = 1000;
const maxBatchLength = 4_000_000; // characters of JSON

/**
 * Sends messages in the order of the calls. While one batch is under way the next one gathers; there is no timer:
 * a message that finds nothing under way leaves at the end of the turn. One batch at a time: NOTIFY lets only one
 * transaction commit at once anyway, and two would not keep the order.
 */
export class Publisher {
  #waiting: Entry[] = [];
  #sending: Promise<void> | undefined;

  constructor(private readonly database: Database) {}

  publish(publication: Publication): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ json: toJson(publication), resolve, reject });
      this.#sending ??= this.#sendAll();
    });
  }

  /** Waits for what was published so far. */
  async drain(): Promise<void> {
    await this.#sending;
  }

  async #sendAll(): Promise<void> {
    // Let the callers that go on in this turn join the batch.
    await new Promise((resolve) => process.nextTick(resolve));
    while (this.#waiting.length > 0) {
      await this.#send(this.#takeBatch());
      // The callers who were just answered often publish again at once.
      await new Promise((resolve) => process.nextTick(resolve));
    }
    this.#sending = undefined;
  }

  #takeBatch(): Entry[] {
    let length = 0;
    let count = 0;
    for (const entry of this.#waiting) {
      length += entry.json.length;
      if (count > 0 && (count === maxBatch || length > maxBatchLength)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  /** A batch that Postgres refuses is sent again in halves, until the message at fault stands alone. */
  async #send(batch: Entry[]): Promise<void> {
    try {
      const ids = await this.#query(batch);
      batch.forEach((entry, i) => {
        entry.resolve(ids[i] ?? 0);
      });
    } catch (error) {
      if (batch.length > 1 && isRefusal(error)) {
        const half = batch.length >> 1;
        await this.#send(batch.slice(0, half));
        await this.#send(batch.slice(half));
      } else {
        for (const entry of batch) entry.reject(error);
      }
    }
  }

  async #query(batch: Entry[]): Promise<number[]> {
    const text = `select ${this.database.name('publish_many')}($1) as ids`;
    const values = [`[${batch.map((entry) => entry.json).join(',')}]`];
    for (let attempt = 1; ; attempt++) {
      try {
        const rows = await this.database.query<{ ids: string[] }>(text, values);
        return (rows[0]?.ids ?? []).map(Number);
      } catch (error) {
        if (attempt === maxAttempts || !isRetryable(error)) throw error;
        // Undone by Postgres in favour of another transaction: nothing was published. The next one may meet it again,
        // where the database's default isolation level is above read committed.
        await delay(Math.random() * 10 * attempt);
      }
    }
  }
}

function toJson(p: Publication): string {
  let json = `{"channel":${JSON.stringify(p.channel)},"data":${p.json}`;
  if (p.userIds) json += `,"user_ids":${JSON.stringify(p.userIds)}`;
  if (p.groupIds) json += `,"group_ids":${JSON.stringify(p.groupIds)}`;
  if (p.clientIds) json += `,"client_ids":${JSON.stringify(p.clientIds)}`;
  if (p.siteId !== undefined) json += `,"site_id":${JSON.stringify(p.siteId)}`;
  if (p.maxBacklogSize !== undefined) json += `,"max_backlog_size":${p.maxBacklogSize}`;
  if (p.maxBacklogAge !== undefined) json += `,"max_backlog_age":${p.maxBacklogAge}`;
  return `${json}}`;
}
