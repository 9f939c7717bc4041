import { isGlobal } from '../arguments.js';
import type { ClientFilters } from '../client-filters.js';
import type { Cursor, Sink } from '../dispatcher/cursor.js';
import type { Dispatcher } from '../dispatcher/dispatcher.js';
import { type Batch, emptyFrame, Frame } from '../frame.js';
import { type Viewer, visibleTo } from '../visibility.js';
import type { Answer } from './answers.js';
import type { PollRequest } from './poll-request.js';

export interface PollOptions {
  dispatcher: Dispatcher;
  request: PollRequest;
  viewer: Viewer;
  filters: ClientFilters;
  site: string;
  /** Ms that the poll may wait; 0: it is answered at once, with all that was acknowledged before it came. */
  waits: number;
  /** Whether it goes on to wait after an answer. */
  streaming: boolean;
  answer: Answer;
  /** Called when the poll begins to wait; what it answers, when it no longer does. */
  onParked: (() => () => void) | undefined;
  /** Called once, when the poll no longer takes part in anything. */
  onClose: () => void;
}

// Characters, or one message where that has more. The client comes back for what follows.
const maxAnswerLength = 512 * 1024;

/**
 * One poll, from its request to its last word: opens a cursor a channel, gathers what they have at the start, answers
 * that, or parks until one of them has more.
 */
export class Poll implements Sink {
  #cursors: Cursor[] = [];
  /** Channels whose last id the client is to be told. */
  #status: Set<Cursor> | undefined;
  /** What waits for the start, or for the end of this turn. */
  #out: Batch[] = [];
  #outLength = 0;
  #starting = 0;
  #closed = false;
  #parked = false;
  #timer: NodeJS.Timeout | undefined;
  #onUnparked: (() => void) | undefined;

  constructor(private readonly options: PollOptions) {}

  get mayWait(): boolean {
    return this.options.waits > 0;
  }

  /** Of the same client, the poll with the higher number is the newer one. */
  get sequence(): number {
    return this.options.request.sequence;
  }

  start(): void {
    const { dispatcher, request, site, waits } = this.options;
    this.#starting = request.channels.size;
    if (this.#starting === 0) this.#begin();
    for (const [channel, position] of request.channels) {
      const cursor = dispatcher.open(isGlobal(channel) ? '' : site, channel, position ?? -1, this);
      this.#cursors.push(cursor);
      if (position === -1) this.#tell(cursor);
    }
    for (const cursor of this.#cursors) cursor.start(waits === 0);
  }

  onBatch(cursor: Cursor, batch: Batch): void {
    const visible = this.#visible(cursor, batch);
    if (visible.messages.length === 0) return;
    if (this.#parked && this.options.streaming) {
      if (!this.options.answer.more(visible.frame)) this.close();
      return;
    }
    this.#out.push(visible);
    for (const message of visible.messages) this.#outLength += message.wire.length;
    if (this.#parked && this.#out.length === 1) flushSoon(this);
  }

  /** A page is enough: the client comes back for the next one with the ids that it got to. */
  isFull(): boolean {
    return this.#outLength >= maxAnswerLength;
  }

  onMovedBack(cursor: Cursor): void {
    this.#tell(cursor);
    if (this.#parked) flushSoon(this);
  }

  onStarted(): void {
    if (--this.#starting === 0) this.#begin();
  }

  onFailed(_cursor: Cursor, error: unknown): void {
    this.flush();
    if (this.#closed) return;
    // A stream that has begun can only end; its client asks again, and is told then.
    if (this.#parked && this.options.streaming) {
      this.end();
      return;
    }
    this.close();
    this.options.answer.fail(error);
  }

  /** Ends the poll with what it has, or nothing. */
  end(): void {
    if (this.#parked) this.flush();
    if (this.#closed) return;
    const parked = this.#parked;
    this.close();
    if (parked) this.options.answer.end();
    else this.options.answer.begin(emptyFrame, false);
  }

  /** Answers a parked poll with what has come. */
  flush(): void {
    if (!this.#parked || (this.#out.length === 0 && !this.#status)) return;
    const frame = this.#takeFrame();
    if (!this.options.streaming) this.close();
    if (!this.options.answer.more(frame)) this.close();
  }

  /** Forgets the poll, without an answer: its client is gone. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#parked = false;
    this.#onUnparked?.();
    this.options.onClose();
    for (const cursor of this.#cursors) cursor.close();
    this.#cursors = [];
    this.#out = [];
  }

  #visible(cursor: Cursor, batch: Batch): Batch {
    const visible = visibleTo(this.options.viewer, batch, this.options.filters);
    // A client that waits is neither woken nor told; it is moved on with its next poll.
    if (visible !== batch && !this.#parked) this.#tell(cursor);
    return visible;
  }

  #tell(cursor: Cursor): void {
    this.#status ??= new Set();
    this.#status.add(cursor);
  }

  #begin(): void {
    if (this.#closed) return;
    const { answer, request, streaming, waits } = this.options;
    const isNews = this.#out.length > 0 || this.#status !== undefined;
    const frame = this.#takeFrame();
    const isUpToDate = !this.isFull() && this.#cursors.every((cursor) => cursor.isLive);
    if (waits > 0 && isUpToDate && request.channels.size > 0 && (streaming || !isNews)) {
      this.#parked = true;
      this.#timer = setTimeout(() => this.end(), waits);
      this.#onUnparked = this.options.onParked?.();
      if (streaming) answer.begin(frame, true);
    } else {
      this.close();
      answer.begin(frame, false);
    }
  }

  #takeFrame(): Frame {
    const [only] = this.#out;
    if (only !== undefined && this.#out.length === 1 && !this.#status) {
      this.#out = [];
      return only.frame;
    }
    const parts = this.#out.flatMap((batch) => batch.messages.map((message) => message.wire));
    if (this.#status) {
      const data: string[] = [];
      let i = 0;
      for (const channel of this.options.request.channels.keys()) {
        const cursor = this.#cursors[i++];
        // A cursor that has not been read has no position yet.
        if (cursor && cursor.position >= 0 && this.#status.has(cursor)) {
          data.push(`${JSON.stringify(channel)}:${cursor.position}`);
        }
      }
      parts.push(`{"global_id":-1,"message_id":-1,"channel":"/__status","data":{${data.join(',')}}}`);
    }
    this.#out = [];
    this.#status = undefined;
    return new Frame(`[${parts.join(',')}]`);
  }
}

// Channels hand over what they have one after the other: a poll that waits on several is answered with all of it.
let unflushed: Poll[] = [];

function flushSoon(poll: Poll): void {
  unflushed.push(poll);
  if (unflushed.length > 1) return;
  queueMicrotask(() => {
    const polls = unflushed;
    unflushed = [];
    for (const each of polls) each.flush();
  });
}
