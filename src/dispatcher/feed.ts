import { Batch } from '../frame.js';
import type { StoredMessage } from '../message.js';
import type { ReadResult } from '../reader.js';
import type { Cursor } from './cursor.js';

/** Where a feed's messages come from: a channel, by message id, or the whole bus, by global id. */
export interface Source {
  /** `after`: an id, or -1 for nothing but the last id, -2 for the last message too … */
  read(after: number): Promise<ReadResult>;
  idOf(message: StoredMessage): number;
}

/** What feeds need of their surroundings. */
export interface FeedContext {
  /** 0 while notifications do not come in; else a number that changes with each interruption. */
  connection(): number;
  /** Calls the feed's flushSome(), from the end of this turn of the event loop on, until it is done. */
  flushSoon(feed: Feed): void;
  /** A read failed; resolves to whether to try again, when it is time to. */
  readFailed(error: unknown, failures: number): Promise<boolean>;
}

/** A batch on its way to the cursors. */
interface Round {
  cursors: Iterator<Cursor>;
  batch: Batch;
  lastId: number;
}

/**
 * One channel, or the whole bus, as this node sees it: the last id it has dispatched, and who waits for the next.
 * Messages go out strictly one after the other, those of one turn together; wherever one is missing or came without its
 * content, the feed reads the table, once for all who wait, and holds what arrives meanwhile.
 */
export class Feed {
  readonly cursors = new Set<Cursor>();
  /** The last id dispatched; undefined until a read has told. */
  lastId: number | undefined;
  /** When the last cursor left: feeds that nobody asks for are forgotten. */
  idleSince = Date.now();

  /** The connection() without a break in which lastId is known to be the last one, but for those on their way. */
  #syncedIn = 0;
  #catchingUp = false;
  #catchUpWanted = false;
  /** What arrived ahead of its turn, by id; null where the content is to be read. */
  #early = new Map<number, StoredMessage | null>();
  /** Dispatched in this turn of the event loop, not yet handed to the cursors. */
  #turn: StoredMessage[] = [];
  #round: Round | undefined;

  constructor(
    readonly source: Source,
    readonly context: FeedContext,
  ) {}

  /** Whether nothing is new for a cursor at this id, as far as can be known without a query. */
  isCaughtUp(position: number): boolean {
    return (
      position === this.lastId &&
      !this.#catchingUp &&
      this.#syncedIn !== 0 &&
      this.#syncedIn === this.context.connection()
    );
  }

  /** A message was published; null where its content did not come along. */
  announce(id: number, message: StoredMessage | null): void {
    if (this.lastId === undefined || this.#catchingUp) {
      this.#early.set(id, message);
    } else if (id <= this.lastId) {
      return;
    } else if (this.cursors.size === 0) {
      this.lastId = id;
    } else if (id === this.lastId + 1 && message) {
      this.#dispatch(id, message);
    } else {
      this.#early.set(id, message);
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
      const { cursors, batch, lastId } = this.#round;
      const next = cursors.next();
      if (next.done) this.#round = undefined;
      else next.value.receive(batch, lastId);
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
    if (this.#early.size > 0 || (now !== 0 && now !== connection)) this.catchUp();
  }

  /** Reads what may have been missed, again until nothing is. */
  catchUp(): void {
    this.#catchUpWanted = true;
    if (!this.#catchingUp && this.lastId !== undefined) void this.#readUntilLast(this.lastId);
  }

  /** Ids went back: the database was restored, or a standby took over that had not got them all. */
  moveBack(lastId: number): void {
    this.flush();
    this.lastId = lastId;
    this.#early.clear();
    for (const cursor of this.cursors) cursor.moveBack(lastId);
  }

  async #readUntilLast(from: number): Promise<void> {
    this.#catchingUp = true;
    let failures = 0;
    for (let after = from; this.#catchUpWanted || this.#early.size > 0; after = this.lastId ?? after) {
      this.#catchUpWanted = false;
      const connection = this.context.connection();
      try {
        const result = await this.source.read(after);
        this.#apply(result);
        this.#dispatchEarly();
        // More than a page: go on.
        if (result.upTo < result.lastId) this.#catchUpWanted = true;
        else this.#syncedIn = connection;
        failures = 0;
      } catch (error) {
        this.#catchUpWanted = await this.context.readFailed(error, ++failures);
        if (!this.#catchUpWanted) this.#early.clear();
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
    for (const cursor of this.cursors) cursor.receive(batch, upTo);
  }

  #dispatchEarly(): void {
    for (const id of this.#early.keys()) if (id <= (this.lastId ?? 0)) this.#early.delete(id);
    for (;;) {
      const next = (this.lastId ?? 0) + 1;
      const message = this.#early.get(next);
      if (!message) return;
      this.#early.delete(next);
      this.#dispatch(next, message);
    }
  }

  #dispatch(id: number, message: StoredMessage): void {
    this.lastId = id;
    this.#turn.push(message);
    if (this.#turn.length === 1 && this.#round === undefined) this.context.flushSoon(this);
  }

  #nextRound(): Round | undefined {
    if (this.#turn.length === 0 || this.lastId === undefined) return undefined;
    const batch = new Batch(this.#turn);
    this.#turn = [];
    return { cursors: this.cursors.values(), batch, lastId: this.lastId };
  }
}
