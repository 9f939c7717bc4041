import { isGlobal } from '../arguments.js';
import type { ClientFilters } from '../client-filters.js';
import type { Cursor, Sink } from '../dispatcher/cursor.js';
import type { Dispatcher } from '../dispatcher/dispatcher.js';
import { type Batch, emptyFrame, Frame } from '../frame.js';
import { type Viewer, visibleTo } from '../visibility.js';
import type { Answer } from './answers.js';
import type { ParkedPolls } from './parked-polls.js';
import type { Share } from './poll-budget.js';
import type { PollRequest } from './poll-request.js';

export interface PollOptions {
  dispatcher: Dispatcher;
  polls: ParkedPolls;
  /** Tells clients apart, also those of different users that chose the same id. */
  client: string;
  request: PollRequest;
  viewer: Viewer;
  filters: ClientFilters;
  site: string;
  /**
   * Its part of the budget, which it gives back when it is over; tells whether it may wait. A poll that may not is answered
   * with all that was acknowledged before it came.
   */
  share: Share;
  /** Whether it goes on to wait after an answer. */
  streaming: boolean;
  answer: Answer;
  /** Called when the poll begins to wait; what it answers, when it no longer does. */
  onParked: (() => () => void) | undefined;
}

// Characters, or one message where that has more. The client comes back for what follows.
const maxAnswerLength = 512 * 1024;

/**
 * One poll, from its request to its last word: opens a cursor a channel, gathers what they have at the start, answers
 * that, or parks until one of them has more.
 *
 * Thousands of them wait at a time: it keeps nothing of the request but what it needs until its end.
 */
export class Poll implements Sink {
  readonly client: string;
  /** Of the same client, the poll with the higher number is the newer one. */
  readonly sequence: number;
  readonly #share: Share;
  /** When it has waited its time, in ms of performance.now(); undefined until it waits. */
  deadline: number | undefined;
  readonly #polls: ParkedPolls;
  readonly #answer: Answer;
  readonly #viewer: Viewer;
  readonly #filters: ClientFilters;
  readonly #streaming: boolean;
  readonly #channels: readonly string[];
  #cursors: readonly Cursor[];
  /** Channels whose last id the client is to be told. */
  #status: Set<Cursor> | undefined;
  /** What waits for the start, or for the end of this turn. */
  #out: Batch[] = [];
  #outLength = 0;
  #starting: number;
  #closed = false;
  #parked = false;
  readonly #onParked: (() => () => void) | undefined;
  #onUnparked: (() => void) | undefined;

  constructor({ dispatcher, request, site, ...kept }: PollOptions) {
    this.client = kept.client;
    this.sequence = request.sequence;
    this.#share = kept.share;
    this.#polls = kept.polls;
    this.#answer = kept.answer;
    this.#viewer = kept.viewer;
    this.#filters = kept.filters;
    this.#streaming = kept.streaming;
    this.#onParked = kept.onParked;
    this.#channels = [...request.channels.keys()];
    this.#starting = this.#channels.length;
    this.#cursors = this.#channels.map((channel) => {
      const position = request.channels.get(channel) ?? null;
      const cursor = dispatcher.open(isGlobal(channel) ? '' : site, channel, position ?? -1, this);
      if (position === -1) this.#tell(cursor);
      return cursor;
    });
  }

  start(): void {
    this.#share.beginReading();
    if (this.#starting === 0) this.#begin();
    for (const cursor of this.#cursors) cursor.start(!this.#share.mayWait);
  }

  onBatch(cursor: Cursor, batch: Batch): void {
    const visible = this.#visible(cursor, batch);
    if (visible.messages.length === 0) return;
    if (this.#parked && this.#streaming) {
      if (!this.#answer.more(visible.frame)) this.close();
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
    if (this.#parked && this.#streaming) {
      this.end();
      return;
    }
    this.close();
    this.#answer.fail(error);
  }

  /** Ends the poll with what it has, or nothing. */
  end(): void {
    if (this.#parked) this.flush();
    if (this.#closed) return;
    const parked = this.#parked;
    this.close();
    if (parked) this.#answer.end();
    else this.#answer.begin(emptyFrame, false);
  }

  /** Answers a parked poll with what has come. */
  flush(): void {
    if (!this.#parked || (this.#out.length === 0 && !this.#status)) return;
    const frame = this.#takeFrame();
    if (!this.#streaming) this.close();
    if (!this.#answer.more(frame)) this.close();
  }

  /** Forgets the poll, without an answer: its client is gone. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#parked = false;
    this.#onUnparked?.();
    this.#polls.leave(this);
    this.#share.close();
    for (const cursor of this.#cursors) cursor.close();
    this.#cursors = [];
    this.#out = [];
  }

  #visible(cursor: Cursor, batch: Batch): Batch {
    const visible = visibleTo(this.#viewer, batch, this.#filters);
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
    this.#share.endReading();
    const isNews = this.#out.length > 0 || this.#status !== undefined;
    const frame = this.#takeFrame();
    const isUpToDate = !this.isFull() && this.#cursors.every((cursor) => cursor.isLive);
    if (this.#share.mayWait && isUpToDate && this.#cursors.length > 0 && (this.#streaming || !isNews)) {
      this.#parked = true;
      this.#polls.park(this);
      this.#onUnparked = this.#onParked?.();
      if (this.#streaming) this.#answer.begin(frame, true);
    } else {
      this.close();
      this.#answer.begin(frame, false);
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
      for (const [i, channel] of this.#channels.entries()) {
        const cursor = this.#cursors[i];
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
