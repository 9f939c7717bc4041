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

// While a feed reads, or does not know its place yet, at most so many notices wait in memory; beyond, the feed reads again.
const maxEarly = 1000;

/**
 * One channel, or the whole bus, as this node sees it: the last id it has dispatched, and who waits for the next.
 * Messages go out strictly one after the other, those of one turn together; wherever one is missing or came without its
 * content, the feed reads the table, once for all who wait, and holds what arrives meanwhile.
 */
export class Feed {
  readonly cursors = new Set<Follower>();
  readonly marks = new Marks();
  /** The last id dispatched; undefined until a read has told. */
  lastId: number | undefined;
  /** Another number for each past. */
  era = 0;
  /** Where cursors go on that have begun in an earlier era but not started. */
  places: Places | undefined;
  /** When the last cursor was closed, in ms of our clock. */
  idleSince = 0;

  /** The connection() without a break in which lastId is known to be the last one, but for those on their way. */
  #syncedIn = 0;
  #catchingUp = false;
  #catchUpWanted = false;
  #isBehind = false;
  /** What is known of the former past, while it is yet to be found out where the channel goes on. */
  #former: Former | undefined;
  /** Notices that arrived ahead of their turn, by id; undefined for none, because most feeds never have any. */
  #early: Map<number, Notice> | undefined;
  /** Dispatched in this turn of the event loop, not yet handed to the cursors. */
  #turn: StoredMessage[] = [];
  #round: Round | undefined;
  /** Number of cursors that are open, also those that are not started yet. */
  #users = 0;

  constructor(
    readonly source: Source,
    readonly context: FeedContext,
    /** Under which the dispatcher keeps it. */
    readonly key = '',
  ) {}

  /** What it is a feed of, for traces: its key is `site\tchannel`, that of all channels is empty. */
  get where(): Where {
    const [site = '', channel = null] = this.key.split('\t');
    return whereOf(site, channel);
  }

  get isUsed(): boolean {
    return this.#users > 0;
  }

  /** A cursor was opened here. */
  hold(): void {
    if (this.#users++ === 0) this.context.used(this);
  }

  /** A cursor was closed. */
  release(cursor: Follower): void {
    this.cursors.delete(cursor);
    if (--this.#users === 0) this.context.idle(this);
  }

  /** Called by a cursor that begins here. */
  enter(cursor: Follower): void {
    this.cursors.add(cursor);
    if (this.#isBehind) this.catchUp();
  }

  /** Whether nothing is new for a cursor at this id, as far as can be known without a query. */
  isCaughtUp(position: number): boolean {
    return position === this.lastId && this.#isSynced;
  }

  /** What is new for a cursor at this id, as far as can be known without a query; undefined where it cannot. */
  recall(position: number): Slice | undefined {
    if (this.lastId === undefined || position < 0 || position > this.lastId || !this.#isSynced) return undefined;
    return this.source.recall(position, this.lastId);
  }

  get #isSynced(): boolean {
    return this.#syncedIn !== 0 && this.#syncedIn === this.context.connection();
  }

  /** A message was published. Returns what is done with it, for traces. */
  announce(id: number, notice: Notice): NoticeOutcome {
    if (this.lastId === undefined || this.#catchingUp) {
      this.#keepEarly(id, notice);
      return 'early';
    }
    if (id <= this.lastId) return 'repeated';
    if (this.cursors.size === 0) {
      // What is missing is read once somebody comes, not for nobody.
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
   * Hands what was dispatched to at most so many cursors; returns whether some are still without. What is dispatched
   * meanwhile gathers for the next round.
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

  /** Hands what was dispatched to all cursors, now. */
  flush(): void {
    while (this.flushSome(1000)) {}
  }

  /**
   * A cursor has read up to this id, in this connection(), and found this message last. A feed that knows its last id takes no
   * other from a cursor, because the read may have been of another past.
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

  /** Reads what may have been missed, again until nothing is. */
  catchUp(): void {
    this.#catchUpWanted = true;
    this.#isBehind = false;
    if (!this.#catchingUp) void this.#readUntilLast();
  }

  /**
   * A read has found a lower last id: the database was restored, or a standby took over that had not got them all. False if the
   * feed's marks were not yet what they are when the read began: the read may be older than what came since, and is made again.
   */
  moveBack(lastId: number, progress: number): boolean {
    this.context.idsWentBack();
    if (progress !== this.marks.progress) return false;
    this.flush();
    this.#stand(lastId);
    this.source.forget();
    // Messages that are held may have come since, too.
    if (this.#early) this.catchUp();
    this.#early = undefined;
    for (const cursor of this.cursors) cursor.moveBack(lastId);
    return true;
  }

  /**
   * The past is another one: ids may stand for other messages, even where none has gone back. Finds out where the channel goes
   * on for those who wait: where they stand, if the last message is still the same; or else after all that was published
   * before `seenAt` (microseconds of the database's clock), so that what has come since is not missed, and what was restored
   * does not come again. Resolves when all have been told.
   */
  async beginAnew(seenAt: number): Promise<void> {
    const era = ++this.era;
    this.flush();
    // One past may follow another before the place in the first is found.
    this.#former ??= { lastId: this.lastId, marks: new Map(), seenAt };
    const former = this.#former;
    this.marks.moveTo(former.marks, this.lastId);
    this.lastId = undefined;
    this.#isBehind = false;
    this.#early = undefined;
    this.source.forget();
    for (const cursor of this.cursors) cursor.drop();
    // Others find their place when they have read.
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
    // Nobody has read anything: whoever does learns of the new past alone.
    if (former.lastId === undefined) return;
    for (const [i, cursor] of waiting.entries()) cursor.goOn(theirs[i] ?? null);
    if (place === null) this.lastId = former.lastId;
    else this.#stand(place);
    this.catchUp();
  }

  /**
   * Where a reader goes on who comes with an id beyond the last one: the id is of the former past, or of none. Behind what was
   * published before that ended, so that nothing since is missed; undefined where no past has ended of late.
   */
  async placeOfReturned(): Promise<number | undefined> {
    const seenAt = this.context.formerlySeenAt();
    return seenAt === undefined
      ? undefined
      : ((await this.source.findPlace(undefined, undefined, seenAt)) ?? undefined);
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
        // Turned off meanwhile, the bus gives out nothing; it begins with a catch-up when it is on again.
        if (this.context.isOff()) break;
        if (result.lastId < this.lastId && !this.moveBack(result.lastId, progress)) {
          this.#catchUpWanted = true;
          continue;
        }
        this.#apply(result);
        this.#dispatchEarly();
        // More than a page: go on.
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
    // What is handed over may end before upTo, where the last ones can no longer be read: cursors move on all the same.
    this.flush();
    // Where nothing is new, the last message is the one that is known.
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

  /** This is the last id now, and `message`, if it has this id, the last message. */
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
