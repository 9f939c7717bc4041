import { isGlobal } from '../arguments.js';
import type { Cursor, Sink } from '../dispatcher/cursor.js';
import type { Dispatcher } from '../dispatcher/dispatcher.js';
import type { StoredMessage } from '../message.js';
import { maySee, type Viewer } from '../visibility.js';
import type { PollRequest } from './poll-request.js';

/** How a poll's answer reaches its client. */
export interface Answer {
  /** The first thing that the client is told; `parked` when the poll goes on to wait. */
  begin(frame: string, parked: boolean): void;
  /** Messages for a client that waits; returns whether it goes on to wait. */
  more(frame: string): boolean;
  /** The end of the wait. */
  end(): void;
  fail(error: unknown): void;
}

export interface PollOptions {
  dispatcher: Dispatcher;
  request: PollRequest;
  viewer: Viewer;
  site: string;
  /** Ms that the poll may wait; 0: it is answered at once, with all that was acknowledged before it came. */
  waits: number;
  /** Whether it goes on to wait after an answer. */
  streaming: boolean;
  answer: Answer;
  onPark: () => void;
  /** Called once, when the poll no longer takes part in anything. */
  onClose: (poll: Poll) => void;
}

/**
 * One poll, from its request to its last word: opens a cursor a channel, gathers what they have at the start, answers
 * that, or parks until one of them has more.
 */
export class Poll implements Sink {
  #cursors: Cursor[] = [];
  /** Channels whose last id the client is to be told. */
  #status: Map<string, Cursor> | undefined;
  #channelOf = new Map<Cursor, string>();
  /** Formatted messages that wait for the start, or for the end of this turn. */
  #out: string[] = [];
  #starting = 0;
  #flushing = false;
  #closed = false;
  #parked = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: PollOptions) {}

  get isParked(): boolean {
    return this.#parked;
  }

  /** Of the same client, the poll with the higher number is the newer one. */
  get sequence(): number {
    return this.options.request.sequence;
  }

  start(): void {
    const { dispatcher, request, site } = this.options;
    this.#starting = request.channels.size;
    if (this.#starting === 0) this.#begin();
    for (const [channel, position] of request.channels) {
      const cursor = dispatcher.open(isGlobal(channel) ? '' : site, channel, position ?? -1, this);
      this.#cursors.push(cursor);
      this.#channelOf.set(cursor, channel);
      if (position === -1) this.#tell(cursor);
    }
    for (const cursor of this.#cursors) cursor.start(this.options.waits === 0);
  }

  onMessages(cursor: Cursor, messages: readonly StoredMessage[]): void {
    const { viewer } = this.options;
    for (const message of messages) {
      if (maySee(message, viewer)) this.#out.push(message.wire);
      // A client that waits is neither woken nor told; it is moved on with its next poll.
      else if (!this.#parked) this.#tell(cursor);
    }
    if (this.#parked && this.#out.length > 0) this.#flushSoon();
  }

  onMovedBack(cursor: Cursor): void {
    this.#tell(cursor);
    if (this.#parked) this.#flushSoon();
  }

  onStarted(): void {
    if (--this.#starting === 0) this.#begin();
  }

  onFailed(_cursor: Cursor, error: unknown): void {
    if (this.#closed) return;
    this.close();
    this.options.answer.fail(error);
  }

  /** Ends the poll with what it has, or nothing. */
  end(): void {
    if (this.#closed) return;
    const parked = this.#parked;
    this.#flush();
    if (this.#closed) return;
    this.close();
    if (parked) this.options.answer.end();
    else this.options.answer.begin('[]', false);
  }

  /** Forgets the poll, without an answer: its client is gone. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.options.onClose(this);
    this.#parked = false;
    for (const cursor of this.#cursors) cursor.close();
    this.#cursors = [];
    this.#out = [];
  }

  #tell(cursor: Cursor): void {
    this.#status ??= new Map();
    this.#status.set(this.#channelOf.get(cursor) ?? '', cursor);
  }

  #begin(): void {
    if (this.#closed) return;
    const { answer, request, streaming, waits } = this.options;
    const frame = this.#takeFrame();
    if (waits > 0 && request.channels.size > 0 && (streaming || frame === '[]')) {
      this.#parked = true;
      this.options.onPark();
      this.#timer = setTimeout(() => this.end(), waits);
      if (streaming) answer.begin(frame, true);
    } else {
      this.close();
      answer.begin(frame, false);
    }
  }

  /** What comes in the same turn goes out together. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (!this.#parked || (this.#out.length === 0 && !this.#status)) return;
    const frame = this.#takeFrame();
    if (!this.options.streaming) this.close();
    if (!this.options.answer.more(frame)) this.close();
  }

  #takeFrame(): string {
    if (this.#status) {
      const data = [...this.#status].map(([channel, cursor]) => `${JSON.stringify(channel)}:${cursor.position}`);
      this.#out.push(`{"global_id":-1,"message_id":-1,"channel":"/__status","data":{${data.join(',')}}}`);
      this.#status = undefined;
    }
    const frame = `[${this.#out.join(',')}]`;
    this.#out = [];
    return frame;
  }
}
