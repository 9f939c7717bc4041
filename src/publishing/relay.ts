import type { Database } from '../database/database.js';
import { errors } from '../foundation/errors.js';
import type { Logger } from '../foundation/logger.js';
import { ThrottledLog } from '../foundation/throttled-log.js';

/** What relay() says of the part that this node has in it, see sql/relay/internal/relay.sql. */
type Part = 'never' | 'off' | 'other' | 'idle' | 'busy';

// Ms until it is asked again. Together with the second for which a node keeps its right, `other` is how long a node that
// died is missed; `off`, how late a message is noticed whose transaction outlasted the mode.
const pauses: Record<Part, number> = { never: Number.POSITIVE_INFINITY, off: 5_000, other: 400, idle: 15, busy: 0 };
const pauseAfterError = 500;

/** Publishes what was put down for the nodes, where this is the one to do it. */
export class Relay {
  readonly #failures: ThrottledLog<unknown>;
  readonly #refusals: ThrottledLog;
  #running: Promise<void> | undefined;
  #isWanted = false;
  #isAskedFor = false;
  #wake: () => void = () => {};

  constructor(
    private readonly database: Database,
    /** The name of this node, by which relay_state() tells who relays. */
    private readonly node: string,
    logger: Logger,
  ) {
    this.#failures = new ThrottledLog((count, err) =>
      logger.warn({ err, count }, 'could not relay; it is tried again'),
    );
    this.#refusals = new ThrottledLog((count) =>
      logger.error(
        { err: new errors.NOT_RELAYED(database.name('relay_refused')), count },
        'could not relay some messages',
      ),
    );
  }

  start(): void {
    this.#isWanted = true;
    this.wake();
    this.#running ??= this.#run();
  }

  /** The settings have changed, or may have. */
  wake(): void {
    this.#isAskedFor = true;
    this.#wake();
  }

  /** What is under way ends by itself, or with the connection. */
  stop(): void {
    this.#isWanted = false;
    this.#wake();
  }

  async #run(): Promise<void> {
    while (this.#isWanted) await this.#sleep(await this.#relay());
    this.#running = undefined;
  }

  /** Resolves to the pause that is due. */
  async #relay(): Promise<number> {
    const started = performance.now();
    this.#isAskedFor = false;
    try {
      const text = `select part, refused from ${this.database.name('relay')}($1)`;
      // Asked twice, it publishes nothing twice: one that is still under way has the rows of its batch locked.
      const [row] = await this.database.read<{ part: Part; refused: number }>(text, [this.node]);
      const part = row?.part ?? 'never';
      if (row && row.refused > 0) this.#refusals.report(undefined, row.refused);
      // Where a look takes long, as dead rows pile up behind a transaction that is left open, it is to leave time for others.
      return part === 'busy' ? 0 : Math.max(pauses[part], 2 * (performance.now() - started));
    } catch (error) {
      if (this.#isWanted) this.#failures.report(error);
      return pauseAfterError;
    }
  }

  #sleep(ms: number): Promise<void> {
    if (!this.#isWanted || this.#isAskedFor || ms === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = ms === Number.POSITIVE_INFINITY ? undefined : setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
