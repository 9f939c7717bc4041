import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Test } from 'tap';
import { until } from './until.js';

/**
 * Publishes 1, 2, 3 … by plain SQL with random pauses until it is stopped, whatever happens to its connection: where
 * that breaks, the number may have been published or not, and the next one follows.
 */
export class SteadyPublisher {
  /** Numbers by the message ids that Postgres gave them. */
  readonly acknowledged = new Map<number, number>();
  #stopped = false;
  readonly #running: Promise<void>;

  constructor(
    t: Test,
    private readonly databaseUrl: string,
    private readonly channel: string,
  ) {
    this.#running = this.#run();
    t.teardown(() => this.stop());
  }

  stop(): Promise<void> {
    this.#stopped = true;
    return this.#running;
  }

  /** Waits until so many more were published. */
  async more(count: number): Promise<void> {
    const wanted = this.acknowledged.size + count;
    await until(() => this.acknowledged.size >= wanted, `${count} more messages were published`);
  }

  async #run(): Promise<void> {
    let number = 0;
    while (!this.#stopped) {
      const client = new pg.Client({ connectionString: this.databaseUrl, application_name: 'publisher' });
      client.on('error', () => {});
      try {
        await client.connect();
        while (!this.#stopped) {
          number++;
          const text = 'select message_bus.publish($1, to_jsonb($2::int)) as id';
          const { rows } = await client.query<{ id: string }>(text, [this.channel, number]);
          this.acknowledged.set(Number(rows[0]?.id), number);
          await delay(Math.random() * 10);
        }
      } catch {
        await delay(10);
      } finally {
        await client.end().catch(() => {});
      }
    }
  }
}
