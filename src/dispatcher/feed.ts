import { Batch } from '../frame.js';
import type { StoredMessage } from '../message.js';
import type { Notice } from '../notification.js';
import type { ReadResult } from '../reader.js';
import type { Cursor } from './cursor.js';
import type { Slice } from './tail.js';

/** Where a feed's messages come from: a channel, by message id, or the whole bus, by global id. */
export interface Source {
  /**
   * All that is new as of now. `after`: an id, or -1 for nothing but the last id, -2 for the last message too … Read from
   * the tables, unless these confirm what is in memory.
   */
  read(after: number): Promise<ReadResult>;
  /** The same, read from the tables. */
  fetch(after: number): Promise<ReadResult>;
  /** What is in memory, where that is all that there is between an id and the last one. */
  recall(after: number, lastId: number): Slice | undefined;
  /** The next message was published, or a later one. */
  keep(notice: Notice): void;
  /** What is in memory may be wrong. */
  forget(): void;
  idOf(message: StoredMessage): number;
}

/** What feeds need of their surroundings. */
export interface FeedContext {
  /** 0 while notifications do not come in; else a number that changes with each interruption. */
  connection(): number;
  /** Whether nothing is to be given out, until the next connection. */
  isOff(): boolean;
  /** Calls the feed's flushSome(), from the end of this turn of the event loop on, until it is done. */
  flushSoon(feed: Feed): void;
  /** The feed has a cursor, opened a moment ago. */
  used(feed: Feed): void;
  /** The last cursor of the feed was closed: the feed may be forgotten. */
  idle(feed: Feed): void;
  /** A read failed; resolves to whether to try again, when it is time to. */
  readFailed(error: unknown, failures: number): Promise<boolean>;
}

/** A batch on its way to the cursors. */
interface Round {
  cursors: Iterator<Cursor>;
  batch: Batch;
  after: number;
  lastId: number;
}

// While a feed reads, or does not know its place yet, at most so many notices wait in memory; beyond, the feed reads again.
const maxEarly = 1000;

/**
 * One channel, or the whole bus, as this node sees it: the last id it has dispatched, and who waits for the next.
 * Messages go out strictly one after the other, those of one turn together; wherever one is missing or came without its
 * content, the feed reads the table, once for all who wait, and holds what arrives meanwhile.
 */
export class Feed {
  readonly cursors = new Set<Cursor>();
  /** The last id dispatched; undefined until a read has told. */
  lastId: number | undefined;
  /** When the last cursor was closed, in ms of our clock. */
  idleSince = 0;

  /** The connection() without a break in which lastId is known to be the last one, but for those on their way. */
  #syncedIn = 0;
  #catchingUp = false;
  #catchUpWanted = false;
  #isBehind = false;
  /** Notices that arrived ahead of their turn, by id; undefined for none, because most feeds never have any. */
  #early: Map<number, Notice> | undefined;
  /** Dispatched in this turn of the event loop, not yet handed to the cursors. */
  #turn: StoredMessage[] = [];
  #round: Round | undefined;
  /** Number of cursors that are open, also those that are not started yet. */
  #users = 0;

  constructor(
    readonly source: Source,
    readonly context: FeedContext,
    /** Under which the dispatcher keeps it. */
    readonly key = '',
  ) {}

  get isUsed(): boolean {
    return this.#users > 0;
  }

  /** A cursor was opened here. */
  hold(): void {
    if (this.#users++ === 0) this.context.used(this);
  }

  /** A cursor was closed. */
  release(cursor: Cursor): void {
    this.cursors.delete(cursor);
    if (--this.#users === 0) this.context.idle(this);
  }

  /** Called by a cursor that begins here. */
  enter(cursor: Cursor): void {
    this.cursors.add(cursor);
    if (this.#isBehind) this.catchUp();
  }

  /** Whether nothing is new for a cursor at this id, as far as can be known without a query. */
  isCaughtUp(position: number): boolean {
    return position === this.lastId && this.#isSynced;
  }

  /** What is new for a cursor at this id, as far as can be known without a query; undefined where it cannot. */
  recall(position: number): Slice | undefined {
    if (this.lastId === undefined || position < 0 || position > this.lastId || !this.#isSynced) return undefined;
    return this.source.recall(position, this.lastId);
  }

  get #isSynced(): boolean {
    return this.#syncedIn !== 0 && this.#syncedIn === this.context.connection();
  }

  /** A message was published. */
  announce(id: number, notice: Notice): void {
    if (this.lastId === undefined || this.#catchingUp) {
      this.#keepEarly(id, notice);
    } else if (id <= this.lastId) {
      return;
    } else if (this.cursors.size === 0) {
      // What is missing is read once somebody comes, not for nobody.
      this.#isBehind ||= id !== this.lastId + 1 || !notice.message;
      if (this.#isBehind) return;
      this.lastId = id;
      this.source.keep(notice);
    } else if (id === this.lastId + 1 && notice.message) {
      this.#dispatch(id, notice, notice.message);
    } else {
      this.#keepEarly(id, notice);
      this.catchUp();
    }
  }

  /**
   * Hands what was dispatched to at most so many cursors; returns whether some are still without. What is dispatched
   * meanwhile gathers for the next round.
   */
  flushSome(most: number): boolean {
    for (let calls = 0; calls < most; calls++) {
      this.#round ??= this.#nextRound();
      if (this.#round === undefined) return false;
      const { cursors, batch, after, lastId } = this.#round;
      const next = cursors.next();
      if (next.done) this.#round = undefined;
      else next.value.receive(batch, after, lastId);
    }
    return this.#round !== undefined || this.#turn.length > 0;
  }

  /** Hands what was dispatched to all cursors, now. */
  flush(): void {
    while (this.flushSome(1000)) {}
  }

  /** A cursor has read up to this id, in this connection(). */
  learn(lastId: number, connection: number): void {
    if (this.lastId !== undefined) return;
    this.lastId = lastId;
    this.#syncedIn = connection;
    this.#dispatchEarly();
    const now = this.context.connection();
    if (this.#early || this.#catchUpWanted || (now !== 0 && now !== connection)) this.catchUp();
  }

  /** Reads what may have been missed, again until nothing is. */
  catchUp(): void {
    this.#catchUpWanted = true;
    this.#isBehind = false;
    if (!this.#catchingUp && this.lastId !== undefined) void this.#readUntilLast(this.lastId);
  }

  /** Ids went back: the database was restored, or a standby took over that had not got them all. */
  moveBack(lastId: number): void {
    this.flush();
    this.lastId = lastId;
    this.source.forget();
    this.#early = undefined;
    for (const cursor of this.cursors) cursor.moveBack(lastId);
  }

  async #readUntilLast(from: number): Promise<void> {
    this.#catchingUp = true;
    let failures = 0;
    for (let after = from; this.#catchUpWanted || this.#early; after = this.lastId ?? after) {
      this.#catchUpWanted = false;
      const connection = this.context.connection();
      try {
        const result = await this.source.fetch(after);
        // Turned off meanwhile, the bus gives out nothing; it begins with a catch-up when it is on again.
        if (this.context.isOff()) break;
        this.#apply(result);
        this.#dispatchEarly();
        // More than a page: go on.
        if (result.upTo < result.lastId) this.#catchUpWanted = true;
        else this.#syncedIn = connection;
        failures = 0;
      } catch (error) {
        this.#catchUpWanted = await this.context.readFailed(error, ++failures);
        if (!this.#catchUpWanted) this.#early = undefined;
      }
    }
    this.#catchingUp = false;
  }

  #apply({ lastId, upTo, batch }: ReadResult): void {
    const before = this.lastId ?? 0;
    if (lastId < before) {
      this.moveBack(lastId);
      return;
    }
    // What is handed over may end before upTo, where the last ones can no longer be read: cursors move on all the same.
    this.flush();
    this.lastId = upTo;
    for (const cursor of this.cursors) cursor.receive(batch, before, upTo);
  }

  #keepEarly(id: number, notice: Notice): void {
    this.#early ??= new Map();
    if (this.#early.size < maxEarly) this.#early.set(id, notice);
    else this.#catchUpWanted = true;
  }

  #dispatchEarly(): void {
    const early = this.#early;
    if (!early) return;
    for (const id of early.keys()) if (id <= (this.lastId ?? 0)) early.delete(id);
    for (;;) {
      const next = (this.lastId ?? 0) + 1;
      const notice = early.get(next);
      if (!notice?.message) break;
      early.delete(next);
      this.#dispatch(next, notice, notice.message);
    }
    if (early.size === 0) this.#early = undefined;
  }

  #dispatch(id: number, notice: Notice, message: StoredMessage): void {
    this.lastId = id;
    this.source.keep(notice);
    this.#turn.push(message);
    if (this.#turn.length === 1 && this.#round === undefined) this.context.flushSoon(this);
  }

  #nextRound(): Round | undefined {
    if (this.#turn.length === 0 || this.lastId === undefined) return undefined;
    const batch = new Batch(this.#turn);
    const after = this.lastId - this.#turn.length;
    this.#turn = [];
    return { cursors: this.cursors.values(), batch, after, lastId: this.lastId };
  }
}
