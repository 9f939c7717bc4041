import { type NoticeOutcome, type Where, whereOf } from '../foundation/trace.js';
import { Batch } from '../messages/frame.js';
import type { StoredMessage } from '../messages/message.js';
import type { Notice } from '../messages/notice.js';
import type { ReadResult } from '../reading/reader.js';
import type { FeedContext } from './feed-context.js';
import type { Follower } from './follower.js';
import { Marks } from './marks.js';
import { type Former, Places } from './places.js';
import type { Source } from './source.js';
import type { Slice } from './tails/tail.js';

/** A batch on its way to the cursors. */
interface Round {
  cursors: Iterator<Follower>;
  batch: Batch;
  after: number;
  lastId: number;
}

// While a feed reads or does not know its last id, at most this many notices wait in memory; if more come, it reads
// again.
const maxEarly = 1000;

/**
 * One channel, or the whole bus, as this node sees it: the last id it has dispatched, and the cursors that wait for the
 * next. Messages go out strictly in order, those of one turn of the event loop together. If a message is missing or
 * came without its content, the feed reads the table once for all cursors, and holds the notices that arrive meanwhile.
 */
export class Feed {
  readonly cursors = new Set<Follower>();
  readonly marks = new Marks();
  /** The last id dispatched; undefined while this node does not know where the channel is. */
  lastId: number | undefined;
  /** Raised with each new past. */
  era = 0;
  /** Tells cursors that were opened in an earlier era, and have not started, where they go on. */
  places: Places | undefined;
  /** When the last cursor was closed, in ms of our clock. */
  idleSince = 0;

  /**
   * The connection() in which `lastId` is known to be the last id, except for notifications on their way; 0: in none.
   */
  #syncedIn = 0;
  #catchingUp = false;
  #catchUpWanted = false;
  #isBehind = false;
  /** What is known of the former past, until it is found out where the channel goes on. */
  #former: Former | undefined;
  /**
   * Notices that arrived ahead of their turn, by id. Undefined if there are none, because most feeds never have any.
   */
  #early: Map<number, Notice> | undefined;
  /** Messages dispatched in this turn of the event loop and not yet handed to the cursors. */
  #turn: StoredMessage[] = [];
  #round: Round | undefined;
  /** Number of open cursors, including those that have not started yet. */
  #users = 0;

  constructor(
    readonly source: Source,
    readonly context: FeedContext,
    /** The key under which the dispatcher keeps this feed. */
    readonly key = '',
  ) {}

  /** What this is a feed of, for traces. Its key is `site\tchannel`; the key of the feed of all channels is empty. */
  get where(): Where {
    const [site = '', channel = null] = this.key.split('\t');
    return whereOf(site, channel);
  }

  get isUsed(): boolean {
    return this.#users > 0;
  }

  /** Called when a cursor was opened here. */
  hold(): void {
    if (this.#users++ === 0) this.context.used(this);
  }

  /** Called when a cursor was closed. */
  release(cursor: Follower): void {
    this.cursors.delete(cursor);
    if (--this.#users === 0) this.context.idle(this);
  }

  /** Called when a cursor starts: from now on it receives the feed's batches. */
  enter(cursor: Follower): void {
    this.cursors.add(cursor);
    if (this.#isBehind) this.catchUp();
  }

  /** True if it is known without a query that nothing is new for a cursor at this id. */
  isCaughtUp(position: number): boolean {
    return position === this.lastId && this.#isSynced;
  }

  /** The messages that are new for a cursor at this id; undefined if only a query can tell. */
  recall(position: number): Slice | undefined {
    if (this.lastId === undefined || position < 0 || position > this.lastId || !this.#isSynced) return undefined;
    return this.source.recall(position, this.lastId);
  }

  get #isSynced(): boolean {
    return this.#syncedIn !== 0 && this.#syncedIn === this.context.connection();
  }

  /** Takes the notice of a published message. Returns what the feed does with it, for traces. */
  announce(id: number, notice: Notice): NoticeOutcome {
    if (this.lastId === undefined || this.#catchingUp) {
      this.#keepEarly(id, notice);
      return 'early';
    }
    if (id <= this.lastId) return 'repeated';
    if (this.cursors.size === 0) {
      // Nobody waits, so nothing is read now: what is missing is read when a cursor comes.
      this.#isBehind ||= id !== this.lastId + 1 || !notice.message;
      if (this.#isBehind) return 'kept';
      this.#stand(id, notice);
      this.source.keep(notice);
      return 'kept';
    }
    if (id === this.lastId + 1 && notice.message) {
      this.#dispatch(id, notice, notice.message);
      return 'dispatched';
    }
    this.#keepEarly(id, notice);
    this.catchUp();
    return 'early';
  }

  /**
   * Hands dispatched messages to at most `max` cursors; returns whether some cursors still wait for theirs. Messages
   * that are dispatched meanwhile gather for the next round.
   */
  flushSome(max: number): boolean {
    for (let calls = 0; calls < max; calls++) {
      this.#round ??= this.#nextRound();
      if (this.#round === undefined) return false;
      const { cursors, batch, after, lastId } = this.#round;
      const next = cursors.next();
      if (next.done) this.#round = undefined;
      else next.value.receive(batch, after, lastId);
    }
    return this.#round !== undefined || this.#turn.length > 0;
  }

  /** Hands all dispatched messages to all cursors, now. */
  flush(): void {
    while (this.flushSome(1000)) {}
  }

  /**
   * Called when a cursor has read up to `lastId` in this connection(); `message` is the last one that it found. A feed
   * that knows its last id takes no other from a cursor, because the read may have been of another past.
   */
  learn(lastId: number, connection: number, message?: StoredMessage): void {
    if (this.lastId !== undefined || this.#former) {
      const id = message === undefined ? 0 : this.source.idOf(message);
      if (!message || id <= (this.lastId ?? 0)) return;
      this.marks.note(id, message);
      return;
    }
    this.#stand(lastId, message);
    this.#syncedIn = connection;
    this.#dispatchEarly();
    const now = this.context.connection();
    if (this.#early || this.#catchUpWanted || (now !== 0 && now !== connection)) this.catchUp();
  }

  /** Reads what may have been missed, and goes on until nothing is missing. */
  catchUp(): void {
    this.#catchUpWanted = true;
    this.#isBehind = false;
    if (!this.#catchingUp) void this.#readUntilLast();
  }

  /**
   * Called when a read has found a lower last id: a backup was restored, or a standby took over that lagged. Returns
   * false if the feed's marks have moved since the read began (`progress`): what came meanwhile may be newer than the
   * read, which has to be made again.
   */
  moveBack(lastId: number, progress: number): boolean {
    this.context.idsWentBack();
    if (progress !== this.marks.progress) return false;
    this.flush();
    this.#stand(lastId);
    this.source.forget();
    // Early notices may be of messages published since then: the catch-up reads those.
    if (this.#early) this.catchUp();
    this.#early = undefined;
    for (const cursor of this.cursors) cursor.moveBack(lastId);
    return true;
  }

  /**
   * Called when the past is another one: ids may stand for other messages, even if none has become lower. Finds out
   * where each waiting cursor goes on: where it stands, if its last message is still the same; otherwise after
   * everything published before `seenAt` (µs, database clock), so that no later message is missed and no restored one
   * comes again. Resolves when all cursors have been told.
   */
  async beginAnew(seenAt: number): Promise<void> {
    const era = ++this.era;
    this.flush();
    // Keep the first former past: another one may follow before the place in the new one is found.
    this.#former ??= { lastId: this.lastId, marks: new Map(), seenAt };
    const former = this.#former;
    this.marks.moveTo(former.marks, this.lastId);
    this.lastId = undefined;
    this.#isBehind = false;
    this.#early = undefined;
    this.source.forget();
    for (const cursor of this.cursors) cursor.drop();
    // Cursors that have not started yet find their place after their read.
    const waiting = [...this.cursors].filter((cursor) => cursor.isLive);
    const places = new Places(former, this.source, async (error, failures) => {
      return era === this.era && (await this.context.readFailed(error, failures)) && era === this.era;
    });
    this.places = places;
    const [place, ...theirs] = await Promise.all([
      places.ofFeed,
      ...waiting.map(({ position }) => places.of(position)),
    ]);
    if (era !== this.era) return;
    this.#former = undefined;
    // Nobody has read anything here: whoever reads now learns of the new past alone.
    if (former.lastId === undefined) return;
    for (const [i, cursor] of waiting.entries()) cursor.goOn(theirs[i] ?? null);
    if (place === null) this.lastId = former.lastId;
    else this.#stand(place);
    this.catchUp();
  }

  /**
   * Where a reader goes on whose id is beyond the last one: the id is of the former past, or of none. Resolves to the
   * last id published before the former past ended, so that the reader misses nothing since; null if no past has
   * ended in the last two minutes.
   */
  async placeOfReturned(): Promise<number | null> {
    const seenAt = this.context.formerlySeenAt();
    return seenAt === undefined ? null : this.source.findPlace(undefined, undefined, seenAt);
  }

  async #readUntilLast(): Promise<void> {
    let failures = 0;
    while (this.lastId !== undefined && (this.#catchUpWanted || this.#early)) {
      this.#catchingUp = true;
      this.#catchUpWanted = false;
      const { era } = this;
      const { progress } = this.marks;
      const connection = this.context.connection();
      try {
        const result = await this.source.fetch(this.lastId);
        if (era !== this.era) continue;
        // If the bus was turned off during the read, nothing is handed out. When it is on again, it begins with a
        // catch-up.
        if (this.context.isOff()) break;
        if (result.lastId < this.lastId && !this.moveBack(result.lastId, progress)) {
          this.#catchUpWanted = true;
          continue;
        }
        this.#apply(result);
        this.#dispatchEarly();
        // There is another page: go on.
        if (result.upTo < result.lastId) this.#catchUpWanted = true;
        else this.#syncedIn = connection;
        failures = 0;
      } catch (error) {
        this.#catchUpWanted = await this.context.readFailed(error, ++failures);
        if (!this.#catchUpWanted) this.#early = undefined;
      }
    }
    this.#catchingUp = false;
  }

  #apply({ upTo, batch }: ReadResult): void {
    const before = this.lastId ?? 0;
    // The batch may end before upTo, if the last messages can no longer be read: the cursors move to upTo all the same.
    this.flush();
    // If nothing is new, the mark of the last message stays.
    if (upTo !== before || batch.messages.length > 0) this.#stand(upTo, batch.messages.at(-1));
    for (const cursor of this.cursors) cursor.receive(batch, before, upTo);
  }

  #keepEarly(id: number, notice: Notice): void {
    this.#early ??= new Map();
    if (this.#early.size < maxEarly) this.#early.set(id, notice);
    else this.#catchUpWanted = true;
  }

  #dispatchEarly(): void {
    const early = this.#early;
    if (!early) return;
    for (const id of early.keys()) if (id <= (this.lastId ?? 0)) early.delete(id);
    for (;;) {
      const next = (this.lastId ?? 0) + 1;
      const notice = early.get(next);
      if (!notice?.message) break;
      early.delete(next);
      this.#dispatch(next, notice, notice.message);
    }
    if (early.size === 0) this.#early = undefined;
  }

  #dispatch(id: number, notice: Notice, message: StoredMessage): void {
    this.#stand(id, message);
    this.source.keep(notice);
    this.#turn.push(message);
    if (this.#turn.length === 1 && this.#round === undefined) this.context.flushSoon(this);
  }

  /** Makes `lastId` the last id. `message` becomes its mark, if it is the message with this id. */
  #stand(lastId: number, message?: StoredMessage | Notice): void {
    const isSeen = message !== undefined && this.source.idOf(message) === lastId;
    this.lastId = lastId;
    this.marks.stand(lastId, isSeen ? message : undefined);
  }

  #nextRound(): Round | undefined {
    if (this.#turn.length === 0 || this.lastId === undefined) return undefined;
    const batch = new Batch(this.#turn);
    const after = this.lastId - this.#turn.length;
    this.#turn = [];
    return { cursors: this.cursors.values(), batch, after, lastId: this.lastId };
  }
}
