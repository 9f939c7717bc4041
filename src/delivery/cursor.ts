import { type DeliveryEvent, deliverTrace, type TracedReader } from '../foundation/trace.js';
import { Batch } from '../messages/frame.js';
import type { Feed } from './feed.js';
import type { Follower } from './follower.js';

/** Whoever is sent the messages of a cursor. */
export interface Sink {
  /** The next messages, in order, as far as they can still be read; the cursor stands after the last of them. */
  onBatch(cursor: Cursor, batch: Batch): void;
  /**
   * True if it has enough. A start then ends with what was read so far, and the cursor does not become live; a live cursor that
   * would have more falls behind. Either goes on from where it stands with another start().
   */
  isFull?(): boolean;
  /**
   * The cursor was put to another place: it stood beyond the last id, or the past is another one. What was between, its reader
   * has missed; what it knows may have been undone.
   */
  onMovedBack(cursor: Cursor): void;
  /** All that was there at the start has been handed over, and the cursor is live; or the sink is full. */
  onStarted(cursor: Cursor): void;
  /** The start failed, or the bus was closed; the cursor is closed. */
  onFailed(cursor: Cursor, error: unknown): void;
  /** Who it is in traces; asked if somebody subscribes to them. */
  readonly tracedAs?: TracedReader;
}

interface Held {
  batch: Batch;
  after: number;
  lastId: number;
}

// While a cursor reads, it keeps at most so many live batches, some 50 bytes each; beyond, it reads again. All cursors of
// a crowd that comes to a busy channel may be reading at the same time.
const maxHeld = 100;

/**
 * One reader's place in a feed. It is registered before its backlog is read; what comes live meanwhile is held, and
 * merged by id. Each message reaches the sink once, in order.
 */
export class Cursor implements Follower {
  /** Id of the last message handed over; negative until the start: -1 from now on, -2 the last message first … */
  position: number;
  #started = false;
  #isReading = false;
  #closed = false;
  #held: Held[] | undefined;
  /** The past of the feed that the position belongs to. */
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
   * Starts, or goes on after the sink was full; without a query if all that can be new is in memory. `fresh` asks all the same:
   * a notification of what was acknowledged a moment ago may still be on its way.
   */
  start(fresh = false): void {
    this.feed.enter(this);
    if (fresh || !this.#recall()) void this.#read();
  }

  /** Whether what comes next will be handed over as it comes. */
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

  /** Called by the feed, with what comes next in it: all that can be read after one id, up to another. */
  receive(batch: Batch, after: number, lastId: number): void {
    if (this.#started) {
      this.#accept(batch, lastId);
    } else if (this.#isReading) {
      this.#held ??= [];
      if (this.#held.length < maxHeld) this.#held.push({ batch, after, lastId });
    }
  }

  /** Called by the feed: what is held is of a past that is no more. */
  drop(): void {
    this.#held = undefined;
  }

  /** Called by the feed: in another past, what is new begins after this id; null: after the last one that it got. */
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

  /** Hands over what of the batch is new here: all of it, but for cursors that have just started. */
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

  /** Hands over what is in memory; false where it is to be read. */
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
      // Again while there is another page, or the feed is further than what was read and held: some was not held, or
      // was dispatched before this began.
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
        // The feed learnt its last id from a commit: a later read that finds less has found another past.
        if (lastId < before) this.feed.moveBack(lastId, progress);
        this.feed.learn(lastId, connection, batch.messages.at(-1));
        this.feed.flush();
        // Pages to come say themselves what can be read: a catch-up that is held may have looked before this began.
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

  /** What was read may be of a past that is no more. A place that is counted from the end is found anew by itself. */
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

  /** Hands over what was held and follows on what was read. */
  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const { batch, after, lastId } of held) {
      // A hole before it, where batches were not held, or went out before this began: they are read, with this one.
      if (after > this.position) return;
      if (!this.#closed) this.#accept(batch, lastId);
    }
  }
}
