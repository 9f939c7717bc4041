import type { Database } from '../database/database.js';
import { errors } from '../foundation/errors.js';
import type { Notice } from '../messages/notice.js';
import type { Terms } from '../reading/reader.js';

/** A message by which a past is recognized. */
export type Landmark = Pick<Notice, 'globalId' | 'site' | 'channel' | 'messageId' | 'version' | 'expires'>;

/** The state of the bus, as the database tells it. */
export interface BusState {
  notifyChannel: string;
  notifyKey: Uint8Array;
  incarnation: string;
  home: string;
  /** True if ids may now stand for other messages than those that this node knows by them. */
  isAnotherPast: boolean;
  /** The last global id. */
  globalId: number;
  /** The message with that global id; undefined if it can no longer be read. */
  landmark: Landmark | undefined;
  terms: Terms;
  /** How long messages can be read that name no age of their own, in microseconds. */
  maxAge: number;
}

/** See node_state() in sql/reading/internal/node.sql. */
interface StateRow {
  notify_channel: string | null;
  /** In hexadecimal. */
  notify_key: string;
  incarnation: string;
  home: string;
  is_known: boolean | null;
  global_id: number;
  site: string | null;
  channel: string | null;
  message_id: number | null;
  version: number;
  expires: number | null;
  now: number;
  max_age: number;
}

/**
 * Knows which past of the bus this node has seen, and asks the database whether it still has that one. After a restore,
 * for example, it has another: ids then count other messages, and a node that went on with its own ids would hear of
 * nothing.
 *
 * The past is another one in three cases: the incarnation has another id; the last message that this node has seen is
 * not there any more as it was; or the database has another home, and nothing shows that this message is still there.
 */
export class Past {
  #known: Pick<BusState, 'incarnation' | 'home'> | undefined;
  #landmark: Landmark | undefined;
  /** The last global id that a notification or the database has told. */
  #globalId = 0;
  #seenAt = 0;
  /** Upper bound of the database's clock minus ours, in microseconds. */
  #ahead = 0;
  /** How long messages can be read that name no age of their own, in microseconds. */
  #maxAge = 0;
  #isInDoubt = false;
  /** Raised by learn(), so that ask() can tell whether its answer is of before. */
  #generation = 0;

  constructor(private readonly database: Database) {}

  /**
   * Messages published after this time (µs, database clock) are unknown to this node. It is the time at which the last
   * known message was published, or at which the database last said that the past is the same.
   */
  get seenAt(): number {
    return this.#seenAt;
  }

  /** True if no global id is missing before this message. */
  comesNext({ globalId }: Landmark): boolean {
    return globalId <= this.#globalId + 1;
  }

  /** Called with a message whose notice came in, after the notices of all earlier messages. */
  note(notice: Landmark): void {
    if (this.#isInDoubt) return;
    this.#landmark = notice;
    this.#globalId = Math.max(this.#globalId, notice.globalId);
    // The difference is wrong if the message has an age of its own, but no message was published later than now.
    const publishedAt = Math.min(notice.expires - this.#maxAge, performance.now() * 1000 + this.#ahead);
    this.#seenAt = Math.max(this.#seenAt, publishedAt);
  }

  /** Called if notices that come in from now on, until the database has been asked, may be of another past. */
  doubt(): void {
    this.#isInDoubt = true;
  }

  /**
   * Asks the database for the state of the bus. Resolves to undefined if learn() was called meanwhile, because the
   * answer may be of before.
   *
   * @throws POSTBUS_NO_SCHEMA if the bus is not there, or not complete
   */
  async ask(): Promise<BusState | undefined> {
    const { database } = this;
    const generation = this.#generation;
    const seen = this.#landmark;
    const askedAt = performance.now();
    const [row] = await database.read<StateRow>(
      `select notify_channel, encode(notify_key, 'hex') as notify_key, incarnation, home, is_known, global_id, site, channel, message_id, version, expires, now, max_age
        from ${database.name('node_state')}($1, $2, $3, $4, $5, $6)`,
      [seen?.globalId, seen?.site, seen?.channel, seen?.messageId, seen?.version, seen?.expires],
    );
    if (!row?.notify_channel) throw new errors.NO_SCHEMA(database.schema);
    if (generation !== this.#generation) return undefined;
    return {
      notifyChannel: row.notify_channel,
      notifyKey: Buffer.from(row.notify_key, 'hex'),
      incarnation: row.incarnation,
      home: row.home,
      isAnotherPast: this.#isAnother(row),
      globalId: row.global_id,
      landmark: landmarkOf(row),
      terms: { version: row.version, now: row.now, askedAt },
      maxAge: row.max_age,
    };
  }

  /** From here on, this node knows the past that the database has. */
  learn(state: BusState): void {
    this.#generation++;
    if (state.isAnotherPast) {
      this.#landmark = undefined;
      this.#globalId = 0;
      this.#seenAt = 0;
    }
    this.confirm(state);
  }

  /** Called if the past is the one that this node knows; only its home may be another one. */
  confirm({ incarnation, home, globalId, landmark, terms, maxAge }: BusState): void {
    this.#known = { incarnation, home };
    this.#isInDoubt = false;
    this.#globalId = Math.max(this.#globalId, globalId);
    this.#seenAt = Math.max(this.#seenAt, terms.now);
    this.#ahead = terms.now - terms.askedAt * 1000;
    this.#maxAge = maxAge;
    if (landmark && landmark.globalId > (this.#landmark?.globalId ?? 0)) this.#landmark = landmark;
  }

  #isAnother({ incarnation, home, is_known }: StateRow): boolean {
    if (this.#known === undefined) return false;
    if (incarnation !== this.#known.incarnation || is_known === false) return true;
    return home !== this.#known.home && !is_known;
  }
}

function landmarkOf({ global_id: globalId, site, channel, message_id: messageId, version, expires }: StateRow) {
  if (site === null || channel === null || messageId === null || expires === null) return undefined;
  return { globalId, site, channel, messageId, version, expires };
}
