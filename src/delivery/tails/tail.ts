import { Batch } from '../../messages/frame.js';
import type { StoredMessage } from '../../messages/message.js';
import type { Notice } from '../../messages/notice.js';
import type { ChannelResult, Head, ReadResult } from '../../reading/reader.js';
import type { TailMemory } from './tail-memory.js';

/** The messages after an id, up to another one, as a read would find them. */
export interface Slice {
  upTo: number;
  batch: Batch;
}

const maxMessages = 1000;
// Bytes that a tail takes without messages, about.
const ownSize = 400;
// Characters of data in a page, as in a read, see read_channels().
const pageLength = 512 * 1024;
// Few are enough, because clients that come back at about the same time ask from few different ids.
const maxSlices = 32;

/**
 * The last messages of a channel: all that can be read after one id, up to another. A message missing in between has
 * passed its age or was expired. No publication brings it back: only other settings could, and they have another
 * version. So the last id, the version and the time together tell what a read would find.
 */
export class Tail {
  /** The tail covers the ids above #from, up to #upTo. -1: none at all. */
  #from = -1;
  #upTo = -1;
  /** The first id that the backlog sizes let be read, if #upTo is the channel's last id. */
  #firstId = 0;
  /** In the order of their ids, beginning at index #start. */
  #messages: StoredMessage[] = [];
  #start = 0;
  /** Earliest expiry (µs, database clock) among the messages held. */
  #expires = Number.POSITIVE_INFINITY;
  /**
   * The messages that are left out had all passed their age by this time (µs, database clock). If the clock goes back
   * to before it, they can be read again.
   */
  #goneAt = 0;
  /**
   * Slices that were asked for, by the id after which they begin: all who ask for the same one are sent the same bytes.
   */
  #slices: Map<number, Slice> | undefined;
  #sliceBytes = 0;
  #bytes = 0;

  constructor(private readonly memory: TailMemory) {}

  get upTo(): number {
    return this.#upTo;
  }

  /** About how many bytes the tail takes. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * True if the tail holds all that can be read after an id (-2: the last message …), assuming that #upTo is the last
   * id.
   */
  covers(after: number): boolean {
    const from = after < 0 ? this.#upTo + after + 1 : after;
    return this.#from >= 0 && this.#from <= Math.max(from, this.#firstId - 1);
  }

  /** Called with the notice of a published message: the next one, or a later one if some were missed. */
  append({ messageId, version, firstId, message }: Notice): void {
    // A message that cannot be kept leaves a hole: whoever asks for it reads the table.
    this.memory.learnVersion(version);
    if (!this.memory.isCurrent(version) || !message) return;
    this.#dropSlices();
    const grown = messageId === this.#upTo + 1 ? 0 : this.#restart(messageId - 1);
    this.#upTo = messageId;
    this.#firstId = firstId;
    this.#messages.push(message);
    this.#expires = Math.min(this.#expires, message.expires);
    this.#trim(grown + sizeOf(message));
  }

  /** Adds what a read has found. */
  add(after: number, { lastId, upTo, firstId, batch, terms }: ChannelResult): void {
    this.memory.learnTerms(terms);
    if (!this.memory.isCurrent(terms.version)) return;
    const from = Math.max(after < 0 ? lastId + after + 1 : after, firstId - 1);
    const isApart = from > this.#upTo || upTo < this.#from;
    const isKnown = isApart ? upTo < this.#upTo : from >= this.#from && upTo <= this.#upTo;
    if (from > upTo || isKnown) return;
    this.#dropSlices();
    let bytes = isApart ? this.#restart(from) : 0;
    const known = this.#messages.slice(this.#start);
    const before = known.filter(({ messageId }) => messageId <= from);
    const behind = known.filter(({ messageId }) => messageId > upTo);
    this.#messages = [...before, ...batch.messages, ...behind];
    this.#start = 0;
    this.#from = Math.min(this.#from, from);
    if (upTo >= this.#upTo) {
      this.#upTo = upTo;
      this.#firstId = firstId;
    }
    for (const message of known) bytes -= sizeOf(message);
    for (const message of this.#messages) bytes += sizeOf(message);
    if (batch.messages.length < upTo - from) this.#goneAt = Math.max(this.#goneAt, terms.now);
    for (const { expires } of batch.messages) this.#expires = Math.min(this.#expires, expires);
    this.#trim(bytes);
  }

  /**
   * The messages that can be read after an id at the time `now` (µs, database clock), at most a page, as in a read;
   * undefined if the tail does not hold all of them.
   */
  slice(after: number, now: number): Slice | undefined {
    if (now < this.#goneAt) this.forget();
    if (!this.covers(after) || after > this.#upTo) return undefined;
    if (now >= this.#expires) this.#expire(now);
    const from = Math.max(after, this.#from);
    this.memory.use(this);
    let slice = this.#slices?.get(from);
    if (slice === undefined) {
      slice = this.#cut(from);
      if (this.#slices?.size === maxSlices) this.#dropSlices();
      this.#slices ??= new Map();
      this.#slices.set(from, slice);
      let length = 0;
      for (const { json } of slice.batch.messages) length += json.length + 100;
      // Each frame is kept as text and as bytes.
      this.#sliceBytes += 2 * length;
      this.#grow(2 * length);
    }
    return slice;
  }

  /** What a read would find now, given the head that the database has just told; undefined if only a read can tell. */
  match(after: number, { lastId, terms }: Head): ReadResult | undefined {
    this.memory.learnTerms(terms);
    if (!this.memory.isCurrent(terms.version)) return undefined;
    if (after === -1 || after >= lastId) return { lastId, upTo: lastId, batch: new Batch([]) };
    if (this.#upTo < lastId) return undefined;
    const slice = this.slice(after < 0 ? Math.max(0, lastId + after + 1) : after, terms.now);
    // Notices may have come since the head was asked for: the result is then true of a moment later.
    return slice && { lastId: this.#upTo, ...slice };
  }

  /**
   * Like slice(), but `now` is only an upper bound of the database's time; undefined if any message might have expired
   * by then.
   */
  sliceBefore(after: number, now: number): Slice | undefined {
    if (this.memory.time < this.#goneAt) this.forget();
    return now < this.#expires ? this.slice(after, now) : undefined;
  }

  forget(): void {
    this.#restart(-1);
  }

  #cut(from: number): Slice {
    const messages = this.#messages;
    let i = this.#indexAfter(from);
    const first = i;
    for (let length = 0; i < messages.length && length < pageLength; i++) length += messages[i]?.json.length ?? 0;
    const next = messages[i];
    return { upTo: next ? next.messageId - 1 : this.#upTo, batch: new Batch(messages.slice(first, i)) };
  }

  /** Index of the first message after an id. */
  #indexAfter(id: number): number {
    let low = this.#start;
    for (let high = this.#messages.length; low < high; ) {
      const middle = (low + high) >> 1;
      if ((this.#messages[middle]?.messageId ?? 0) > id) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /**
   * Forgets all messages, and covers only the ids above `from`: none so far. Returns the bytes that an empty tail
   * takes.
   */
  #restart(from: number): number {
    this.#dropSlices();
    this.#from = from;
    this.#upTo = from;
    this.#messages = [];
    this.#start = 0;
    this.#expires = Number.POSITIVE_INFINITY;
    this.#goneAt = 0;
    this.#grow(-this.#bytes);
    return ownSize;
  }

  /**
   * Called when the tail has grown by `bytes`: drops messages that the backlog sizes no longer let be read, and those
   * beyond maxMessages.
   */
  #trim(bytes: number): void {
    const excess = this.#messages[this.#messages.length - maxMessages - 1];
    const from = Math.max(this.#from, this.#firstId - 1, excess?.messageId ?? 0);
    let freed = 0;
    for (; this.#start < this.#messages.length; this.#start++) {
      const message = this.#messages[this.#start];
      if (message && message.messageId > from) break;
      if (message) freed += sizeOf(message);
    }
    this.#from = from;
    // Amortised O(1) per message.
    if (this.#start > 32 && 4 * this.#start > this.#messages.length) {
      this.#messages = this.#messages.slice(this.#start);
      this.#start = 0;
    }
    this.#grow(bytes - freed);
  }

  #expire(now: number): void {
    this.#dropSlices();
    let freed = 0;
    this.#expires = Number.POSITIVE_INFINITY;
    const kept: StoredMessage[] = [];
    for (const message of this.#messages.slice(this.#start)) {
      if (message.expires <= now) {
        freed += sizeOf(message);
        this.#goneAt = Math.max(this.#goneAt, message.expires);
      } else {
        kept.push(message);
        this.#expires = Math.min(this.#expires, message.expires);
      }
    }
    this.#messages = kept;
    this.#start = 0;
    this.#grow(-freed);
  }

  #dropSlices(): void {
    if (this.#slices === undefined) return;
    this.#slices = undefined;
    this.#grow(-this.#sliceBytes);
    this.#sliceBytes = 0;
  }

  #grow(bytes: number): void {
    if (bytes === 0) return;
    this.#bytes += bytes;
    this.memory.grow(this, bytes);
  }
}

/** About how many bytes a message takes: its JSON, its text as it is sent, its targets, and the objects around them. */
function sizeOf({ json, targets }: StoredMessage): number {
  let size = 400 + 2 * json.length;
  if (targets) {
    for (const ids of [targets.userIds, targets.groupIds, targets.clientIds]) {
      for (const id of ids ?? []) size += 40 + id.length;
    }
  }
  return size;
}
