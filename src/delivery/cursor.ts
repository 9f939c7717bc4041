import { type DeliveryEvent, deliverTrace, type TracedReader } from '../foundation/trace.js';
import { Batch } from '../messages/frame.js';
import type { Feed } from './feed.js';
import type { Follower } from './follower.js';

/** Receives the messages of a cursor: a poll, a stream or a callback. */
export interface Sink {
  /**
   * Called with the next messages, in order, without those that can no longer be read. `cursor.position` is past them
   * already.
   */
  onBatch(cursor: Cursor, batch: Batch): void;
  /**
   * True if the sink takes no more for now. A start() in progress then ends with what it has handed over so far, and
   * the cursor does not become live; a live cursor drops what comes, and is live no longer. In both cases another
   * start() goes on from the cursor's position.
   */
  isFull?(): boolean;
  /**
   * Called when the cursor was moved to another id, because it stood beyond the last id or because the past is another
   * one. The reader has missed the messages in between, and messages that it has may have been undone.
   */
  onMovedBack(cursor: Cursor): void;
  /**
   * Called when everything that existed at the start has been handed over and the cursor is live; or when the sink is
   * full.
   */
  onStarted(cursor: Cursor): void;
  /** Called when the start failed or the bus was closed. The cursor is closed. */
  onFailed(cursor: Cursor, error: unknown): void;
  /** Names the reader in traces. Read only while somebody subscribes to them. */
  readonly tracedAs?: TracedReader;
}

interface Held {
  batch: Batch;
  after: number;
  lastId: number;
}

// A cursor that is reading holds at most this many live batches, about 50 bytes each; if more come, it reads again. The
// limit is low because all cursors of a crowd that comes to a busy channel may be reading at the same time.
const maxHeld = 100;

/**
 * One reader's place in a feed. The cursor joins the feed before it reads its backlog. Batches that arrive during the
 * read are held, and merged by id. Each message reaches the sink once, in order.
 */
export class Cursor implements Follower {
  /** Id of the last message handed over. Negative until the start: -1 means from now on, -2 the last message first … */
  position: number;
  #started = false;
  #isReading = false;
  #closed = false;
  #held: Held[] | undefined;
  /** The era of the feed that the position belongs to. */
  #era: number;

  constructor(
    readonly feed: Feed,
    position: number,
    private readonly sink: Sink,
  ) {
    this.position = position;
    this.#era = feed.era;
    feed.hold();
  }

  /**
   * Starts the cursor, or goes on after the sink was full. Needs no query if memory holds everything that can be new.
   * `fresh` asks the database in any case, because the notification of a message acknowledged a moment ago may not have
   * come yet.
   */
  start(fresh = false): void {
    this.feed.enter(this);
    if (fresh || !this.#recall()) void this.#read();
  }

  /** True if the next messages are handed over as they come. */
  get isLive(): boolean {
    return this.#started && !this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#held = undefined;
    this.feed.release(this);
  }

  fail(error: unknown): void {
    if (this.#closed) return;
    this.close();
    if (deliverTrace.isOn) this.#trace({ event: 'failed', error });
    this.sink.onFailed(this, error);
  }

  /** Called by the feed with its next messages: all that can be read after the id `after`, up to `lastId`. */
  receive(batch: Batch, after: number, lastId: number): void {
    if (this.#started) {
      this.#accept(batch, lastId);
    } else if (this.#isReading) {
      this.#held ??= [];
      if (this.#held.length < maxHeld) this.#held.push({ batch, after, lastId });
    }
  }

  /** Called by the feed when the past is another one: drops the held batches, which belong to the old past. */
  drop(): void {
    this.#held = undefined;
  }

  /**
   * Called by the feed in another past: new messages begin after the id `place`; null: after the last message handed
   * over.
   */
  goOn(place: number | null): void {
    if (!this.#started || this.#closed) return;
    this.#era = this.feed.era;
    if (place === null) return;
    this.position = place;
    this.#tellOfMove();
  }

  moveBack(lastId: number): void {
    if (!this.#started || this.position <= lastId) return;
    this.position = lastId;
    this.#tellOfMove();
  }

  /**
   * Hands over the messages of the batch that are new to this reader: all of them, unless the cursor has just started.
   */
  #accept(batch: Batch, lastId: number): void {
    const { position } = this;
    const { idOf } = this.feed.source;
    if (lastId <= position) {
      if (deliverTrace.isOn) this.#trace({ event: 'had', position, messageIds: batch.messages.map(idOf) });
      return;
    }
    if (this.sink.isFull?.()) {
      if (deliverTrace.isOn) this.#trace({ event: 'full', messageIds: batch.messages.map(idOf) });
      this.#started = false;
      return;
    }
    this.position = lastId;
    const [first] = batch.messages;
    if (first === undefined || idOf(first) > position) this.sink.onBatch(this, batch);
    else {
      if (deliverTrace.isOn) {
        const messageIds = batch.messages.map(idOf).filter((id) => id <= position);
        this.#trace({ event: 'had', position, messageIds });
      }
      this.sink.onBatch(this, new Batch(batch.messages.filter((message) => idOf(message) > position)));
    }
  }

  #tellOfMove(): void {
    if (deliverTrace.isOn) this.#trace({ event: 'moved', position: this.position });
    this.sink.onMovedBack(this);
  }

  #trace(what: DeliveryEvent): void {
    const reader = this.sink.tracedAs;
    if (reader) deliverTrace.tell({ ...this.feed.where, reader, ...what });
  }

  /** Hands over what is new from memory; returns false if a read is needed. */
  #recall(): boolean {
    if (this.#era !== this.feed.era) return false;
    while (!this.feed.isCaughtUp(this.position)) {
      if (this.sink.isFull?.()) {
        this.sink.onStarted(this);
        return true;
      }
      const slice = this.feed.recall(this.position);
      if (slice === undefined) return false;
      this.position = slice.upTo;
      if (slice.batch.messages.length > 0) this.sink.onBatch(this, slice.batch);
      if (this.#closed) return true;
    }
    this.#started = true;
    this.sink.onStarted(this);
    return true;
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    try {
      // Reads again while there is another page, or while the feed is ahead of what was read and held: then some
      // batches were not held, or were dispatched before this read began.
      for (let isCaughtUp = false; !isCaughtUp; ) {
        if (this.sink.isFull?.()) break;
        if (this.#era !== this.feed.era) {
          await this.#findPlace();
          if (this.#closed) return;
        }
        const connection = this.feed.context.connection();
        const before = this.feed.lastId ?? 0;
        const { progress } = this.feed.marks;
        const asked = this.position;
        const { lastId, upTo, batch } = await this.feed.source.read(asked);
        if (this.#closed) return;
        if (this.#era !== this.feed.era) continue;
        if (batch.messages.length > 0 && this.sink.isFull?.()) break;
        this.position = upTo;
        if (asked > lastId) {
          this.position = Math.min(lastId, (await this.feed.placeOfReturned()) ?? lastId);
          if (this.#closed) return;
          if (this.#era !== this.feed.era) continue;
          this.#tellOfMove();
        } else if (upTo !== asked) {
          this.sink.onBatch(this, batch);
        }
        if (this.#closed) return;
        // The feed learnt its last id from a commit, so a later read that finds a lower one has found another past.
        if (lastId < before) this.feed.moveBack(lastId, progress);
        this.feed.learn(lastId, connection, batch.messages.at(-1));
        this.feed.flush();
        // If more pages follow, the held batches are dropped: those pages tell what can be read, while a catch-up that
        // is held may have looked at the tables before this read began.
        if (upTo < lastId) this.#held = undefined;
        else this.#release();
        if (this.#closed) return;
        isCaughtUp = this.position >= lastId && this.position >= (this.feed.lastId ?? 0);
        this.#started = isCaughtUp;
      }
      this.#isReading = false;
      this.#held = undefined;
      this.sink.onStarted(this);
    } catch (error) {
      this.fail(error);
    }
  }

  /**
   * Finds the cursor's place in the present past, because what it has read may belong to an earlier one. A negative
   * position counts from the end, and needs no place.
   */
  async #findPlace(): Promise<void> {
    let place: number | null | undefined;
    do {
      this.#era = this.feed.era;
      place = await this.feed.places?.of(this.position);
    } while (this.#era !== this.feed.era);
    if (this.#closed || place === null || place === undefined || this.position < 0) return;
    this.position = place;
    this.#tellOfMove();
  }

  /** Hands over the held batches that follow on what was read. */
  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const { batch, after, lastId } of held) {
      // A hole before this batch: earlier ones were not held, or were dispatched before the read began. The next read
      // brings them, and this one.
      if (after > this.position) return;
      if (!this.#closed) this.#accept(batch, lastId);
    }
  }
}
