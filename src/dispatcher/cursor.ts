import type { StoredMessage } from '../message.js';
import type { Feed } from './feed.js';

/** Whoever is sent the messages of a cursor. */
export interface Sink {
  /** The next messages, in order; `upTo` is where the cursor stands then (the last ones may not be readable any more). */
  onMessages(cursor: Cursor, messages: readonly StoredMessage[], upTo: number): void;
  /** The cursor stood beyond the last id and was put back to it. */
  onMovedBack(cursor: Cursor, lastId: number): void;
  /** What was there at the start has been handed over: from here on it is live. */
  onStarted(cursor: Cursor): void;
  /** The start failed; the cursor is closed. */
  onFailed(cursor: Cursor, error: unknown): void;
}

// While a cursor reads, it keeps at most so many live messages; beyond, it reads again.
const maxHeld = 1000;

/**
 * One reader's place in a feed. It is registered before its backlog is read; what comes live meanwhile is held, and
 * merged by id. Each message reaches the sink once, in order.
 */
export class Cursor {
  /** Id of the last message handed over; negative until the start: -1 from now on, -2 the last message first … */
  position: number;
  #started = false;
  #closed = false;
  #held: { id: number; message: StoredMessage }[] = [];

  constructor(
    readonly feed: Feed,
    position: number,
    private readonly sink: Sink,
  ) {
    this.position = position;
  }

  /**
   * Starts; without a query where nothing can be new. `fresh` asks all the same: a notification of what was acknowledged
   * a moment ago may still be on its way.
   */
  start(fresh = false): void {
    this.feed.cursors.add(this);
    if (!fresh && this.feed.isCaughtUp(this.position)) {
      this.#started = true;
      this.sink.onStarted(this);
    } else {
      void this.#read();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#held = [];
    this.feed.cursors.delete(this);
    if (this.feed.cursors.size === 0) this.feed.idleSince = Date.now();
  }

  /** Called by the feed, for each message in turn. */
  receive(id: number, message: StoredMessage): void {
    if (!this.#started) {
      if (this.#held.length < maxHeld) this.#held.push({ id, message });
    } else if (id > this.position) {
      this.position = id;
      this.sink.onMessages(this, [message], id);
    }
  }

  skipTo(id: number): void {
    if (!this.#started || id <= this.position) return;
    this.position = id;
    this.sink.onMessages(this, [], id);
  }

  moveBack(lastId: number): void {
    if (!this.#started || this.position <= lastId) return;
    this.position = lastId;
    this.sink.onMovedBack(this, lastId);
  }

  async #read(): Promise<void> {
    try {
      do {
        const connection = this.feed.context.connection();
        const before = this.feed.lastId ?? 0;
        const asked = this.position;
        const { lastId, messages } = await this.feed.source.read(asked);
        if (this.#closed) return;
        if (asked > lastId) {
          this.position = lastId;
          this.sink.onMovedBack(this, lastId);
        } else {
          this.position = lastId;
          if (messages.length > 0 || asked >= 0) this.sink.onMessages(this, messages, lastId);
        }
        if (this.#closed) return;
        // The feed learnt its last id from a commit: a later read that finds less has found another past.
        if (lastId < before) this.feed.moveBack(lastId);
        this.feed.learn(lastId, connection);
        this.#release();
        // The feed is further than what was read and held: some was not held, or was dispatched before this began.
      } while (!this.#closed && (this.feed.lastId ?? 0) > this.position);
      if (this.#closed) return;
      this.#started = true;
      this.sink.onStarted(this);
    } catch (error) {
      if (this.#closed) return;
      this.close();
      this.sink.onFailed(this, error);
    }
  }

  /** Hands over what was held and follows on what was read. */
  #release(): void {
    const held = this.#held;
    this.#held = [];
    for (const { id, message } of held) {
      if (this.#closed) return;
      if (id === this.position + 1) {
        this.position = id;
        this.sink.onMessages(this, [message], id);
      }
    }
  }
}
