import type { Database } from '../database/database.js';
import { errors } from '../foundation/errors.js';
import type { Logger } from '../foundation/logger.js';
import { ThrottledLog } from '../foundation/throttled-log.js';

/** The part that this node has in relaying, as relay() of sql/relay/internal/relay.sql returns it. */
type Part = 'never' | 'off' | 'other' | 'idle' | 'busy';

// Ms until relay() is called again. If the node that relays dies, another one takes over after its lease of one second
// and at most the pause of `other`. The pause of `off` is how late a message is noticed that was queued while the relay
// was on, by a transaction that commits after it was turned off.
const pauses: Record<Part, number> = { never: Number.POSITIVE_INFINITY, off: 5_000, other: 400, idle: 15, busy: 0 };
const pauseAfterError = 500;

/** Publishes the messages queued by publish_later() while this node holds the relay lease. */
export class Relay {
  readonly #failures: ThrottledLog<unknown>;
  readonly #refusals: ThrottledLog;
  #running: Promise<void> | undefined;
  #isWanted = false;
  #isAskedFor = false;
  #wake: () => void = () => {};

  constructor(
    private readonly database: Database,
    /** The name of this node, which relay_state() shows if this node relays. */
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

  /** Calls relay() without a pause, because the settings have changed, or may have. */
  wake(): void {
    this.#isAskedFor = true;
    this.#wake();
  }

  /** Stops calling relay(). A call that is under way ends by itself, or with its connection. */
  stop(): void {
    this.#isWanted = false;
    this.#wake();
  }

  async #run(): Promise<void> {
    while (this.#isWanted) await this.#sleep(await this.#relay());
    this.#running = undefined;
  }

  /** Calls relay() once. Resolves to the ms to pause before the next call. */
  async #relay(): Promise<number> {
    const started = performance.now();
    this.#isAskedFor = false;
    try {
      const text = `select part, refused from ${this.database.name('relay')}($1)`;
      // read() may send this twice. Nothing is published twice, because a call that is still under way has locked the
      // rows of its batch.
      const [row] = await this.database.read<{ part: Part; refused: number }>(text, [this.node]);
      const part = row?.part ?? 'never';
      if (row && row.refused > 0) this.#refusals.report(undefined, row.refused);
      // If a call takes long, because dead rows pile up behind a transaction that is left open, the pause is at least
      // twice as long, to leave time for others.
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
