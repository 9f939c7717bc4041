import { setTimeout as delay } from 'node:timers/promises';
import { isLockTimeout, isRefusal, isRetryable } from '../database/coded-error.js';
import type { Database } from '../database/database.js';
import { errors } from '../foundation/errors.js';
import type { Entry } from './publication.js';

const maxAttempts = 15;

// Somebody's trigger may say at once that it did not get a lock, and again and again.
const lockPauseMs = 50;

/** Publishes batches, each in one transaction, and answers their callers. */
export class BatchSender {
  readonly #text: string;
  readonly #underWay = new Set<readonly Entry[]>();
  #isOver = false;

  constructor(private readonly database: Database) {
    this.#text = `select ${database.name('publish_batch')}($1) as ids`;
  }

  /**
   * A batch that Postgres refuses is sent again in halves, until the message at fault stands alone. Returns what was not
   * published because others hold a lock; those callers still wait.
   */
  async send(batch: Entry[]): Promise<Entry[]> {
    if (batch.length === 0) return [];
    try {
      if (this.#isOver) throw new errors.CLOSED();
      const ids = await this.#query(batch);
      batch.forEach((entry, i) => {
        entry.resolve(ids[i] ?? 0);
      });
      return [];
    } catch (error) {
      if (isLockTimeout(error)) {
        await delay(lockPauseMs);
        return batch;
      }
      if (batch.length > 1 && isRefusal(error)) {
        const half = batch.length >> 1;
        const left = await this.send(batch.slice(0, half));
        // In their order: what follows does not overtake.
        return left.length > 0 ? [...left, ...batch.slice(half)] : this.send(batch.slice(half));
      }
      for (const entry of batch) entry.reject(error);
      return [];
    }
  }

  /** Sends no more, and answers the callers whose messages are under way: nobody will know any more. */
  giveUp(): void {
    this.#isOver = true;
    const error = new errors.CONNECTION_LOST('the bus was closed before Postgres answered');
    for (const batch of this.#underWay) for (const entry of batch) entry.reject(error);
  }

  async #query(batch: readonly Entry[]): Promise<number[]> {
    const values = [`[${batch.map((entry) => entry.json).join(',')}]`];
    this.#underWay.add(batch);
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          const rows = await this.database.prepared<{ ids: string[] }>(this.#text, values);
          return (rows[0]?.ids ?? []).map(Number);
        } catch (error) {
          if (attempt === maxAttempts || this.#isOver || !isRetryable(error)) throw error;
          // Undone by Postgres in favour of another transaction: nothing was published. The next one may meet it again,
          // where the database's default isolation level is above read committed.
          await delay(Math.random() * 10 * attempt);
        }
      }
    } finally {
      this.#underWay.delete(batch);
    }
  }
}
