import type { Database } from '../database/database.js';
import type { ListeningConnection } from '../database/postgres.js';
import type { Dispatcher } from '../delivery/dispatcher.js';
import { errors } from '../foundation/errors.js';
import type { Notice } from '../messages/notice.js';
import { type BusState, Past } from './past.js';
import { PastWatch } from './past-watch.js';
import { settingsPayload } from './payload.js';

export interface LookoutOptions {
  database: Database;
  dispatcher: Dispatcher;
  /** What is in the database is not what the connection listens to, or not what this node knows: begin with prepare() again. */
  onChanged: (error: Error) => void;
}

// If the database takes longer to answer, nothing much is published.
const maxHoldMs = 5_000;

/**
 * Passes on what notifications tell of, and finds out what they do not: that the database has another past, another NOTIFY
 * channel or key, or no bus any more, and that some did not come in.
 */
export class Lookout {
  readonly #past: Past;
  /** Runs while a connection listens. */
  readonly #watch = new PastWatch(() => this.#look());
  #connection: ListeningConnection | undefined;
  #listensTo: BusState | undefined;
  /** What was committed up to this global id should have been heard of. */
  #dueId = 0;
  /** Messages up to this global id were read. */
  #caughtUpTo = 0;
  /** Whether something came in that makes no sense: what it told of is in the tables. */
  #hasMissed = false;
  /** Notifications that wait until it is known whether the past is the same. */
  #held: Notice[][] | undefined;

  constructor(private readonly options: LookoutOptions) {
    this.#past = new Past(options.database);
  }

  /** Checks that the bus is there. @throws POSTBUS_NO_SCHEMA, and whatever keeps the database from answering */
  async check(): Promise<void> {
    await this.#past.ask();
  }

  /** Before a connection listens. `seenAt`: see Past; undefined where the past is the one that those who wait know. */
  async prepare(): Promise<{ state: BusState; seenAt: number | undefined }> {
    const state = await this.#ask();
    if (state === undefined) return this.prepare();
    const seenAt = state.isAnotherPast ? this.#past.seenAt : undefined;
    this.#past.learn(state);
    this.#listensTo = state;
    this.#dueId = state.globalId;
    this.#caughtUpTo = state.globalId;
    return { state, seenAt };
  }

  /** The connection listens. */
  start(connection: ListeningConnection): void {
    this.#connection = connection;
    this.#watch.start();
  }

  /** No connection does. */
  stop(): void {
    this.#connection = undefined;
    this.#held = undefined;
    this.#watch.stop();
  }

  /** A notification told of these messages. */
  announce(notices: Notice[]): void {
    // A restore may have put back more than was known: what comes before these is not what follows then.
    // Nobody can bring this about by sending old ones again, so it need not wait.
    if (!this.#held && notices[0] && !this.#past.comesNext(notices[0])) this.doubt(true);
    if (this.#held) this.#held.push(notices);
    else this.#pass(notices);
  }

  #pass(notices: Notice[]): void {
    const last = notices.at(-1);
    // Old ones are sent again, or the past is another one.
    if (!this.options.dispatcher.announce(notices)) this.doubt();
    else if (last) this.#past.note(last);
  }

  /** A notification could not be understood. */
  miss(): void {
    this.#hasMissed = true;
    void this.#watch.hurry();
  }

  /**
   * The past may be another one. Finds out, before notifications that come meanwhile are taken for what follows: they are held
   * for as long as that takes, and five seconds at most.
   */
  doubt(isUrgent = false): void {
    this.#past.doubt();
    const looking = this.#watch.hurry(isUrgent);
    if (looking === undefined || this.#held) return;
    const held: Notice[][] = [];
    this.#held = held;
    let timer: NodeJS.Timeout | undefined;
    const isLate = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, maxHoldMs);
    });
    void Promise.race([looking, isLate]).then(() => {
      clearTimeout(timer);
      if (this.#held !== held) return;
      this.#held = undefined;
      for (const notices of held) this.#pass(notices);
    });
  }

  async #look(): Promise<void> {
    const connection = this.#connection;
    const hasMissed = this.#hasMissed;
    this.#hasMissed = false;
    try {
      const state = await this.#ask();
      if (connection === undefined || connection !== this.#connection || state === undefined) return;
      if (state.isAnotherPast) this.options.onChanged(new errors.ANOTHER_PAST());
      else if (!this.#isListeningTo(state)) this.options.onChanged(new errors.KEY_ROTATED());
      else {
        this.#past.confirm(state);
        this.options.dispatcher.learn(state.terms);
        if (hasMissed || (await this.#isDeafTo(this.#dueId, connection))) this.options.dispatcher.miss();
        this.#dueId = state.globalId;
      }
    } catch (error) {
      this.#hasMissed ||= hasMissed;
      // What else goes wrong, the connection that listens and those who read find out.
      if (connection === this.#connection && error instanceof errors.NO_SCHEMA) this.options.onChanged(error);
    }
  }

  /**
   * Other nodes hear of another past before anybody is told of it here: a client that is put back here and then asks a node that
   * has not found out is sent what was undone, and what it has already.
   */
  async #ask(): Promise<BusState | undefined> {
    const state = await this.#past.ask();
    if (state?.isAnotherPast) await this.#tellOthers();
    return state;
  }

  async #tellOthers(): Promise<void> {
    const known = this.#listensTo;
    if (known === undefined) return;
    const payload = settingsPayload(known.terms, known.notifyKey);
    try {
      await this.options.database.read('select pg_notify($1, $2)', [known.notifyChannel, payload]);
    } catch {
      // They look every two seconds, too.
    }
  }

  #isListeningTo({ notifyChannel, notifyKey }: BusState): boolean {
    const known = this.#listensTo;
    return known?.notifyChannel === notifyChannel && Buffer.compare(known.notifyKey, notifyKey) === 0;
  }

  /**
   * Whether what was committed up to this global id, at an earlier look, has not come in. Time does not tell, since the
   * connection may be slow; its answer does, because Postgres sends first what was committed before.
   */
  async #isDeafTo(globalId: number, connection: ListeningConnection): Promise<boolean> {
    const isHeard = () => (this.options.dispatcher.lastGlobalId ?? this.#caughtUpTo) >= globalId;
    if (isHeard()) return false;
    await connection.ask();
    if (connection !== this.#connection || isHeard()) return false;
    this.#caughtUpTo = globalId;
    return true;
  }
}
