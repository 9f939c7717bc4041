import { Batch } from '../../messages/frame.js';
import type { StoredMessage } from '../../messages/message.js';
import type { Notice } from '../../messages/notice.js';
import type { ChannelResult, Head, ReadResult } from '../../reading/reader.js';
import type { TailMemory } from './tail-memory.js';

/** Messages after an id, up to another one: as a read would find them. */
export interface Slice {
  upTo: number;
  batch: Batch;
}

const maxMessages = 1000;
// The tail itself.
const ownSize = 400;
// Characters of data: as a read, see read_channels().
const pageLength = 512 * 1024;
// Clients that come back at about the same time ask from few places.
const maxSlices = 32;

/**
 * The last messages of a channel: all that can be read after one id, up to another. What is missing in between has
 * passed its age or was expired, and no publication brings it back: that takes other settings, which are of another
 * version. So whoever knows the last id, the version and the time knows what a read would find.
 */
export class Tail {
  /** What it holds: ids above #from, up to #upTo. -1: nothing at all. */
  #from = -1;
  #upTo = -1;
  /** From here on the sizes let the channel be read, when #upTo is the last id. */
  #firstId = 0;
  /** In their order, from #start on. */
  #messages: StoredMessage[] = [];
  #start = 0;
  /** None of them passes its age before. */
  #expires = Number.POSITIVE_INFINITY;
  /** The messages that are left out had all passed their age by then: before, if the clock goes back, they can be read again. */
  #goneAt = 0;
  /** Slices that were asked for, by their beginning: those who ask for the same are sent the same bytes. */
  #slices: Map<number, Slice> | undefined;
  #sliceBytes = 0;
  #bytes = 0;

  constructor(private readonly memory: TailMemory) {}

  get upTo(): number {
    return this.#upTo;
  }

  /** About what it takes of the memory. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether it holds all that can be read after an id (-2: the last message …), were #upTo the last one. */
  covers(after: number): boolean {
    const from = after < 0 ? this.#upTo + after + 1 : after;
    return this.#from >= 0 && this.#from <= Math.max(from, this.#firstId - 1);
  }

  /** A message was published: the next one, or some were missed. */
  append({ messageId, version, firstId, message }: Notice): void {
    // What cannot be kept leaves a hole: whoever asks for it reads it.
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

  /** A read found this. */
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

  /** What can be read after an id at this time; undefined where it does not hold all of it. A page, as a read is. */
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
      // As text and as bytes.
      this.#sliceBytes += 2 * length;
      this.#grow(2 * length);
    }
    return slice;
  }

  /** What a read finds now, where this is what the database said a moment ago; undefined where that takes a read. */
  match(after: number, { lastId, terms }: Head): ReadResult | undefined {
    this.memory.learnTerms(terms);
    if (!this.memory.isCurrent(terms.version)) return undefined;
    if (after === -1 || after >= lastId) return { lastId, upTo: lastId, batch: new Batch([]) };
    if (this.#upTo < lastId) return undefined;
    const slice = this.slice(after < 0 ? Math.max(0, lastId + after + 1) : after, terms.now);
    // Notifications may have come meanwhile: it is a moment later then.
    return slice && { lastId: this.#upTo, ...slice };
  }

  /** The same where only this can be said of the time: it is not later. Nothing may be about to pass its age. */
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

  /** Holds nothing but that there is nothing after an id; returns what that takes. */
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

  /** After it has grown: lets go of what the sizes no longer let be read, and of what is too many. */
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
    // A step a message, taken together.
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

/** About what a message takes: its text, the same as it is sent, targets, and the objects around them. */
function sizeOf({ json, targets }: StoredMessage): number {
  let size = 400 + 2 * json.length;
  if (targets) {
    for (const ids of [targets.userIds, targets.groupIds, targets.clientIds]) {
      for (const id of ids ?? []) size += 40 + id.length;
    }
  }
  return size;
}
