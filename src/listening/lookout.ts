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
  /**
   * Called if the database does not match what the connection listens to, or what this node knows: begin with prepare()
   * again.
   */
  onChanged: (error: Error) => void;
}

// Notices are held for at most this long. If the database takes longer to answer, hardly anything is published.
const maxHoldMs = 5_000;

/**
 * Passes on the notices of notifications, and finds out what notifications do not tell: that the database has another
 * past, another NOTIFY channel or key, or no bus any more, and that some notifications did not come in.
 */
export class Lookout {
  readonly #past: Past;
  /** Runs while a connection listens. */
  readonly #watch = new PastWatch(() => this.#look());
  #connection: ListeningConnection | undefined;
  #listensTo: BusState | undefined;
  /** Notices up to this global id should have come in by the next look. */
  #dueId = 0;
  /** Messages up to this global id have been read from the tables. */
  #caughtUpTo = 0;
  /** True if a notification came in that makes no sense: the messages that it told of are in the tables. */
  #hasMissed = false;
  /** Notices that wait until it is known whether the past is still the same; undefined while none have to wait. */
  #held: Notice[][] | undefined;

  constructor(private readonly options: LookoutOptions) {
    this.#past = new Past(options.database);
  }

  /** Checks that the bus is there. @throws POSTBUS_NO_SCHEMA, or the error that keeps the database from answering */
  async check(): Promise<void> {
    await this.#past.ask();
  }

  /**
   * Called before a connection listens. `seenAt`: see Past; undefined if the past is the one that waiting readers know.
   */
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

  /** Called when the connection listens. */
  start(connection: ListeningConnection): void {
    this.#connection = connection;
    this.#watch.start();
  }

  /** Called when no connection listens any more. */
  stop(): void {
    this.#connection = undefined;
    this.#held = undefined;
    this.#watch.stop();
  }

  /** Takes the notices of a notification. */
  announce(notices: Notice[]): void {
    // If global ids before these notices are missing, a restored backup may have held more messages than this node knew
    // of: then they do not follow on what it knows. This look need not wait, because nobody can cause it by sending old
    // notifications again.
    if (!this.#held && notices[0] && !this.#past.comesNext(notices[0])) this.doubt(true);
    if (this.#held) this.#held.push(notices);
    else this.#pass(notices);
  }

  #pass(notices: Notice[]): void {
    const last = notices.at(-1);
    // Not all are new: an old notification was sent again, or the past is another one.
    if (!this.options.dispatcher.announce(notices)) this.doubt();
    else if (last) this.#past.note(last);
  }

  /** Called when a notification could not be understood. */
  miss(): void {
    this.#hasMissed = true;
    void this.#watch.hurry();
  }

  /**
   * Called if the past may be another one. Asks the database, before notices that come meanwhile are taken for what
   * follows: they are held until the answer, and five seconds at most. `isUrgent`: see PastWatch.hurry().
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
      // The connection that listens, and those who read, find out what else goes wrong.
      if (connection === this.#connection && error instanceof errors.NO_SCHEMA) this.options.onChanged(error);
    }
  }

  /**
   * Asks the database for its state. If the past is another one, tells the other nodes before anybody here learns of
   * it. Otherwise a client that is moved back here, and then asks a node that has not found out, would be sent messages
   * that were undone, and some that it has already.
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
      // The other nodes look every two seconds, too.
    }
  }

  #isListeningTo({ notifyChannel, notifyKey }: BusState): boolean {
    const known = this.#listensTo;
    return known?.notifyChannel === notifyChannel && Buffer.compare(known.notifyKey, notifyKey) === 0;
  }

  /**
   * True if a commit up to this global id, seen at an earlier look, has not come in as a notification. The time that
   * has passed does not tell, because the connection may be slow. Its answer does, because Postgres first sends the
   * notifications of earlier commits.
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
