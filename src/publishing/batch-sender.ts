import { setTimeout as delay } from 'node:timers/promises';
import { isLockTimeout, isRefusal, isRetryable } from '../database/coded-error.js';
import type { Database } from '../database/database.js';
import { errors } from '../foundation/errors.js';
import type { Entry } from './publication.js';

const maxAttempts = 15;

// A lock timeout can come back at once, and again and again, for example from a trigger of the application. So we pause
// before the batch is sent again.
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
   * Sends a batch. Resolves to the entries that were not published because another transaction holds a lock; their
   * callers still wait. If Postgres refuses a batch, its halves are sent one after the other, until the message at
   * fault stands alone and only its caller gets the error.
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
        // If a lock stopped the first half, the second half is not sent either: its messages must not overtake.
        return left.length > 0 ? [...left, ...batch.slice(half)] : this.send(batch.slice(half));
      }
      for (const entry of batch) entry.reject(error);
      return [];
    }
  }

  /**
   * Sends no more batches, and rejects the callers of those under way with POSTBUS_CONNECTION_LOST: Postgres may still
   * publish them, but this process will not learn of it.
   */
  giveUp(): void {
    this.#isOver = true;
    const error = new errors.CONNECTION_LOST('the bus was closed before Postgres answered');
    for (const batch of this.#underWay) for (const entry of batch) entry.reject(error);
  }

  /**
   * Publishes a batch; resolves to its message ids. Repeats deadlocks and serialization failures, up to 15 times in
   * all.
   */
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
          // Postgres rolled the batch back in favour of another transaction (deadlock or serialization failure), so
          // nothing was published. The next attempt may meet that transaction again if the database's default isolation
          // level is above read committed.
          await delay(Math.random() * 10 * attempt);
        }
      }
    } finally {
      this.#underWay.delete(batch);
    }
  }
}
