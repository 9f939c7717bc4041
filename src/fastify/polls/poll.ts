import type { Cursor, Sink } from '../../delivery/cursor.js';
import type { Dispatcher } from '../../delivery/dispatcher.js';
import { isGlobal } from '../../foundation/checks.js';
import { deliverTrace, type TracedReader } from '../../foundation/trace.js';
import type { ClientFilters } from '../../messages/client-filters.js';
import { type Batch, emptyFrame, Frame } from '../../messages/frame.js';
import { traceDelivery } from '../../messages/trace-delivery.js';
import { type Viewer, visibleTo } from '../../messages/visibility.js';
import type { Answer } from './answers.js';
import type { ParkedPoll, ParkedPolls } from './parked-polls.js';
import type { Share } from './poll-budget.js';
import type { PollRequest } from './poll-request.js';

export interface PollOptions {
  dispatcher: Dispatcher;
  polls: ParkedPolls;
  /** Identifies the client, even among clients of different users that chose the same client id. */
  client: string;
  request: PollRequest;
  viewer: Viewer;
  filters: ClientFilters;
  site: string;
  /**
   * The poll's share of the budget, which it gives back at its end. `share.mayWait` tells whether the poll may wait. A
   * poll that may not is answered with all messages whose publish was acknowledged before it came.
   */
  share: Share;
  /** True if the client takes a stream: all pages of a backlog, and then the messages that come while it waits. */
  streaming: boolean;
  answer: Answer;
  /** Called when the poll begins to wait; returns a function that is called when it no longer does. */
  onParked: (() => () => void) | undefined;
}

// Characters of a page; a single message may have more. A stream sends the next page once this one has left; other
// clients poll for it.
const maxPageLength = 512 * 1024;

/**
 * One poll, from its request to its last word: opens a cursor for each channel, gathers what they have at the start,
 * and answers with that, or parks until one of them has more. A stream sends page after page until it is up to date,
 * then what is published live. Thousands of polls wait at a time, so a poll keeps nothing of its request that it does
 * not need until its end.
 */
export class Poll implements Sink, ParkedPoll {
  readonly client: string;
  /** Of two polls of one client, the one with the higher number is newer. */
  readonly sequence: number;
  readonly #share: Share;
  /** When the wait ends, in ms of performance.now(); undefined until the poll waits. */
  deadline: number | undefined;
  readonly #polls: ParkedPolls;
  readonly #answer: Answer;
  readonly #viewer: Viewer;
  readonly #filters: ClientFilters;
  readonly #streaming: boolean;
  readonly #channels: readonly string[];
  #cursors: readonly Cursor[];
  /** Cursors of the channels whose last id the client must be told. */
  #status: Set<Cursor> | undefined;
  /**
   * The message on `/__denied`, until the first answer has it. It alone is no reason to answer: a client with one wrong
   * name would poll without a pause.
   */
  #denied: string | undefined;
  /** Messages that wait for the rest of their page, or for the end of this turn of the event loop. */
  #out: Batch[] = [];
  /** Characters of the page that is being gathered or sent. */
  #outLength = 0;
  /** Number of cursors that are still reading for this page. */
  #reading: number;
  /** True until all cursors are live and everything that they have read has been sent. */
  #isGathering = true;
  #closed = false;
  /** True if the stream has begun, or the poll waits. */
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
    this.#denied = request.denied && ownMessage('/__denied', JSON.stringify(Object.fromEntries(request.denied)));
    this.#reading = this.#channels.length;
    this.#cursors = this.#channels.map((channel) => {
      const position = request.channels.get(channel) ?? null;
      const cursor = dispatcher.open(isGlobal(channel) ? '' : site, channel, position ?? -1, this);
      if (position === -1) this.#tell(cursor);
      return cursor;
    });
  }

  get tracedAs(): TracedReader {
    const { clientId, userId } = this.#viewer;
    return { kind: this.#streaming ? 'stream' : 'poll', clientId, userId };
  }

  start(): void {
    this.#share.beginReading();
    if (this.#reading === 0) this.#onPageRead();
    for (const cursor of this.#cursors) cursor.start(!this.#share.mayWait);
  }

  onBatch(cursor: Cursor, batch: Batch): void {
    const visible = this.#visible(cursor, batch);
    // While nobody subscribes to the trace, this costs one comparison for each client and batch, too little to measure.
    if (deliverTrace.isOn) traceDelivery(this.tracedAs, batch, visible, this.#filters);
    if (visible.messages.length === 0) return;
    if (this.#streaming && !this.#isGathering) {
      if (!this.#answer.more(visible.frame)) this.close();
      return;
    }
    this.#out.push(visible);
    for (const message of visible.messages) this.#outLength += message.wire.length;
    if (this.#parked && this.#out.length === 1) flushSoon(this);
  }

  /** True if a page is gathered: cursors then stop reading until it has left. */
  isFull(): boolean {
    return this.#outLength >= maxPageLength;
  }

  onMovedBack(cursor: Cursor): void {
    this.#tell(cursor);
    if (this.#parked) flushSoon(this);
  }

  onStarted(): void {
    if (--this.#reading === 0) this.#onPageRead();
  }

  onFailed(_cursor: Cursor, error: unknown): void {
    this.#send();
    if (this.#closed) return;
    // A stream that has begun can only end; its client polls again, and gets the error then.
    if (this.#parked && this.#streaming) {
      this.end();
      return;
    }
    this.close();
    this.#answer.fail(error);
  }

  /** Ends the poll with the messages that it has, or none. */
  end(): void {
    this.#send(this.#denied !== undefined);
    if (this.#closed) return;
    const parked = this.#parked;
    this.close();
    if (parked) this.#answer.end();
    else this.#answer.begin(emptyFrame, false);
  }

  /**
   * Answers a parked poll with the messages that have come. While a page is gathered, does nothing: a page is sent as a
   * whole.
   */
  flush(): void {
    if (!this.#isGathering) this.#send();
  }

  #send(mustSend = this.#hasNews): void {
    if (!this.#parked || !mustSend) return;
    const frame = this.#takeFrame();
    if (!this.#streaming) this.close();
    if (!this.#answer.more(frame)) this.close();
  }

  /** Ends the poll without an answer, for example because its client is gone. */
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
    // Hidden messages neither wake a waiting client nor move its position; its next poll tells it the last id.
    if (visible !== batch && this.#isGathering) this.#tell(cursor);
    return visible;
  }

  #tell(cursor: Cursor): void {
    this.#status ??= new Set();
    this.#status.add(cursor);
  }

  get #hasNews(): boolean {
    return this.#out.length > 0 || this.#status !== undefined;
  }

  /** Called when each cursor is live, or has stopped because the page is full. */
  #onPageRead(): void {
    if (this.#closed) return;
    this.#share.endReading();
    const { mayWait } = this.#share;
    const isUpToDate = !this.isFull() && this.#cursors.every((cursor) => cursor.isLive);
    if (this.#streaming && this.#cursors.length > 0 && (this.#parked || mayWait || this.#hasNews)) {
      this.#sendPage(isUpToDate);
    } else if (mayWait && isUpToDate && this.#cursors.length > 0 && !this.#hasNews) {
      this.#isGathering = false;
      this.#park();
    } else {
      const frame = this.#takeFrame();
      this.close();
      this.#answer.begin(frame, false);
    }
  }

  #sendPage(isLast: boolean): void {
    // The next page is read once this one has left, so that a slow client has at most one page in memory.
    const onSent = isLast ? undefined : () => this.#readOn();
    const isEmpty = !this.#hasNews;
    const frame = this.#takeFrame();
    if (!this.#parked) {
      this.#park();
      this.#answer.begin(frame, true, onSent);
    } else if (!isEmpty && !this.#answer.more(frame, onSent)) {
      this.close();
      return;
    }
    if (!isLast) return;
    this.#outLength = 0;
    this.#isGathering = false;
    if (!this.#share.mayWait) this.end();
  }

  /** Gathers the next page from the cursors that stopped or fell behind while the last page was full. */
  #readOn(): void {
    if (this.#closed) return;
    this.#outLength = 0;
    const behind = this.#cursors.filter((cursor) => !cursor.isLive);
    this.#reading = behind.length;
    if (behind.length === 0) this.#onPageRead();
    else this.#share.beginReading();
    for (const cursor of behind) cursor.start();
  }

  #park(): void {
    this.#parked = true;
    this.#polls.park(this);
    if (this.#share.mayWait) this.#onUnparked = this.#onParked?.();
  }

  #takeFrame(): Frame {
    const [only] = this.#out;
    if (only !== undefined && this.#out.length === 1 && !this.#status && this.#denied === undefined) {
      this.#out = [];
      return only.frame;
    }
    const parts = this.#out.flatMap((batch) => batch.messages.map((message) => message.wire));
    const data: string[] = [];
    for (const [i, channel] of this.#channels.entries()) {
      const cursor = this.#cursors[i];
      // A cursor that has not been read has no position yet: its channel is in a later page.
      if (cursor && cursor.position >= 0 && this.#status?.delete(cursor)) {
        data.push(`${JSON.stringify(channel)}:${cursor.position}`);
      }
    }
    if (data.length > 0) parts.push(ownMessage('/__status', `{${data.join(',')}}`));
    if (this.#denied !== undefined) parts.push(this.#denied);
    this.#denied = undefined;
    this.#out = [];
    if (this.#status?.size === 0) this.#status = undefined;
    return new Frame(`[${parts.join(',')}]`);
  }
}

/** A message from the bus itself to one client. */
function ownMessage(channel: string, data: string): string {
  return `{"global_id":-1,"message_id":-1,"channel":"${channel}","data":${data}}`;
}

// Feeds hand over their messages one after the other. A poll that waits on several channels is flushed after all of
// them, so that its answer has the messages of all.
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
