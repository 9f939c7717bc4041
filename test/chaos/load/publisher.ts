import { setTimeout as delay } from 'node:timers/promises';
import { type Ledger, settle } from '../accounting/ledger.js';
import type { Publication } from '../accounting/publication.js';
import type { Random } from '../random.js';

/** One call that publishes messages, all or none. */
export interface Call {
  readonly publications: readonly Publication[];
  /** Resolves to the ids that the publisher is told, if any. */
  send(): Promise<readonly number[] | undefined>;
}

/** A way to publish. `tag` gives each message another. */
export interface Way {
  readonly name: string;
  compose(random: Random, tag: () => string): Call;
  /** Whether an error of send() says for sure that nothing was published. */
  isRefusal(error: unknown): boolean;
  close(): Promise<void>;
}

/** Publishes by one way again and again, with random pauses, whatever happens to it. */
export class Publisher {
  /** Errors by their text, for those who look into a run. */
  readonly errors = new Map<string, number>();
  /** Calls that were acknowledged. */
  acknowledged = 0;
  #isStopped = false;
  #count = 0;
  readonly #running: Promise<void>;

  constructor(
    readonly way: Way,
    private readonly ledger: Ledger,
    private readonly random: Random,
    private readonly pauseMs: number,
    /** Of its tags: another one for each publisher of the same way. */
    private readonly generation: number,
  ) {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
    await this.way.close();
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const call = this.way.compose(this.random, () => `${this.way.name}-${this.generation}-${this.#count++}`);
      const entry = this.ledger.open(call.publications);
      try {
        settle(entry, 'acknowledged', await call.send());
        this.acknowledged++;
      } catch (error) {
        settle(entry, this.way.isRefusal(error) ? 'refused' : 'unknown');
        const text = `${this.way.name}: ${entry.outcome}: ${error instanceof Error ? error.message : error}`;
        this.errors.set(text, (this.errors.get(text) ?? 0) + 1);
        await delay(20);
      }
      await delay(this.random.between(0, 2 * this.pauseMs));
    }
  }
}
