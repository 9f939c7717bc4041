import type { StoredMessage } from '../message.js';
import type { ReadResult } from '../reader.js';
import type { Cursor } from './cursor.js';

/** Where a feed's messages come from: a channel, by message id, or the whole bus, by global id. */
export interface Source {
  /** `after`: an id, or -1 for nothing but the last id, -2 for the last message too … */
  read(after: number): Promise<ReadResult>;
  idOf(message: StoredMessage): number;
}

/** What feeds need to know of their surroundings. */
export interface FeedContext {
  /** 0 while notifications do not come in; else a number that changes with each interruption. */
  connection(): number;
  /** A read failed; resolves to whether to try again, when it is time to. */
  readFailed(error: unknown, failures: number): Promise<boolean>;
}

/**
 * One channel, or the whole bus, as this node sees it: the last id it has dispatched, and who waits for the next.
 * Messages go out strictly one after the other; wherever one is missing or came without its content, the feed reads
 * the table, once for all who wait, and holds what arrives meanwhile.
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
      this.#emit(id, message);
    } else {
      this.#early.set(id, message);
      this.catchUp();
    }
  }

  /** A cursor has read up to this id, in this connection(). */
  learn(lastId: number, connection: number): void {
    if (this.lastId !== undefined) return;
    this.lastId = lastId;
    this.#syncedIn = connection;
    this.#emitEarly();
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
        this.#apply(await this.source.read(after));
        this.#emitEarly();
        this.#syncedIn = connection;
        failures = 0;
      } catch (error) {
        this.#catchUpWanted = await this.context.readFailed(error, ++failures);
        if (!this.#catchUpWanted) this.#early.clear();
      }
    }
    this.#catchingUp = false;
  }

  #apply(result: ReadResult): void {
    const before = this.lastId ?? 0;
    if (result.lastId < before) {
      this.moveBack(result.lastId);
      return;
    }
    for (const message of result.messages) {
      const id = this.source.idOf(message);
      if (id > before) this.#emit(id, message);
    }
    // Where the last ones can no longer be read, cursors move on all the same.
    this.lastId = result.lastId;
    for (const cursor of this.cursors) cursor.skipTo(result.lastId);
  }

  #emitEarly(): void {
    for (const id of this.#early.keys()) if (id <= (this.lastId ?? 0)) this.#early.delete(id);
    for (;;) {
      const next = (this.lastId ?? 0) + 1;
      const message = this.#early.get(next);
      if (!message) return;
      this.#early.delete(next);
      this.#emit(next, message);
    }
  }

  #emit(id: number, message: StoredMessage): void {
    this.lastId = id;
    for (const cursor of this.cursors) cursor.receive(id, message);
  }
}
