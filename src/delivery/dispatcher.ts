import { channelKey } from '../foundation/checks.js';
import { errors } from '../foundation/errors.js';
import { type NoticeOutcome, noticeTrace, whereOf } from '../foundation/trace.js';
import type { Notice } from '../messages/notice.js';
import type { Reader, ReadResult, Terms } from '../reading/reader.js';
import { ChannelSource } from './channel-source.js';
import { Cursor, type Sink } from './cursor.js';
import { FanOut } from './fan-out.js';
import { Feed } from './feed.js';
import type { FeedContext } from './feed-context.js';
import { IdleFeeds } from './idle-feeds.js';
import type { Source } from './source.js';
import { TailMemory } from './tails/tail-memory.js';

// Feeds without a cursor are kept for this long, so that pollers that come back need no query.
const idleFeedMs = 120_000;
const sweepMs = 30_000;
// Clients in background tabs wait for about this long between two polls.
const returnMs = 120_000;
const maxRetryMs = 2_000;

export interface DispatcherOptions {
  reader: Pick<Reader, 'read' | 'head' | 'readGlobal' | 'findPlace'>;
  /** Called when a channel's last id is lower than it was: the past may be another one. */
  onIdsWentBack?: () => void;
  /** Called when something failed that will be tried again; `what` names it. */
  onTrouble: (what: string, error: unknown) => void;
}

/**
 * The one place that knows who waits for what. announce() takes the notices in the order of their global ids, and
 * passes each to the feed of its channel, which hands the message to its cursors. Notices are hints: the feeds read
 * from the tables what is missing.
 */
export class Dispatcher {
  /** True while the bus is off: a catch-up that is under way then hands out nothing. */
  isOff = false;
  /** Raised with each new past of the bus. */
  era = 0;
  readonly #feeds = new Map<string, Feed>();
  #all: Feed | undefined;
  /** 0 while this node receives no notifications; otherwise the number of the connection, which miss() raises, too. */
  #connection = 0;
  #connections = 0;
  #closed = false;
  /** Global id of the last notice; undefined after a catch-up, as after a (re)connect, until the next notice. */
  #globalId: number | undefined;
  readonly #idle = new IdleFeeds((feed) => {
    this.#feeds.get(feed.key)?.source.forget();
    this.#feeds.delete(feed.key);
  });
  readonly #tailMemory = new TailMemory();
  #sweeper: NodeJS.Timeout | undefined;
  /**
   * The end of the former past: `seenAt` of beginAnew() (µs, database clock), and when that was called (ms, our clock).
   */
  #former: { seenAt: number; endedAt: number } | undefined;
  readonly #fanOut = new FanOut();
  readonly #retries = new Map<NodeJS.Timeout, () => void>();
  readonly #context: FeedContext = {
    connection: () => this.#connection,
    isOff: () => this.isOff,
    formerlySeenAt: () =>
      this.#former && performance.now() - this.#former.endedAt < returnMs ? this.#former.seenAt : undefined,
    flushSoon: (feed) => this.#fanOut.add(feed),
    used: (feed) => this.#idle.delete(feed),
    idle: (feed) => {
      // The feed of all messages has no key, and is kept.
      if (feed.key !== '' && !this.#closed) this.#idle.add(feed);
    },
    idsWentBack: () => this.options.onIdsWentBack?.(),
    readFailed: (error, failures) => this.#readFailed(error, failures),
  };

  constructor(private readonly options: DispatcherOptions) {}

  get isConnected(): boolean {
    return this.#connection !== 0;
  }

  /** Number of channels that this node has a feed of, and of cursors in these feeds and in the feed of all messages. */
  get counts(): { channels: number; cursors: number } {
    let cursors = this.#all?.cursors.size ?? 0;
    for (const feed of this.#feeds.values()) cursors += feed.cursors.size;
    return { channels: this.#feeds.size, cursors };
  }

  /** The `count` channels that have the most cursors, with the highest number first. */
  busiest(count: number): { siteId: string | null; channel: string; lastId: number | null; waiting: number }[] {
    const waitedFor = [...this.#feeds].filter(([, { cursors }]) => cursors.size > 0);
    waitedFor.sort(([, one], [, other]) => other.cursors.size - one.cursors.size);
    return waitedFor.slice(0, count).map(([key, { lastId = null, cursors }]) => {
      const [site = '', channel = ''] = key.split('\t');
      return { siteId: site === '' ? null : site, channel, lastId, waiting: cursors.size };
    });
  }

  /**
   * Opens a place in a channel, from which messages are handed to the sink once the cursor is started. `position`: an
   * id; -1: from now on; -2: the last message and from now on …
   *
   * @throws POSTBUS_CLOSED after close()
   */
  open(site: string, channel: string, position: number, sink: Sink): Cursor {
    if (this.#closed) throw new errors.CLOSED();
    const key = channelKey(site, channel);
    let feed = this.#feeds.get(key);
    if (feed === undefined) {
      const source = new ChannelSource({
        site,
        channel,
        reader: this.options.reader,
        memory: this.#tailMemory,
        connection: this.#context.connection,
      });
      feed = new Feed(source, this.#context, key);
      this.#feeds.set(key, feed);
      this.#scheduleSweep();
    }
    return new Cursor(feed, position, sink);
  }

  /** Opens a place among all messages of the bus, by global id. @throws POSTBUS_CLOSED after close() */
  openAll(position: number, sink: Sink): Cursor {
    if (this.#closed) throw new errors.CLOSED();
    this.#all ??= new Feed(globalSource(this.options.reader), this.#context);
    return new Cursor(this.#all, position, sink);
  }

  /** Reads a page of a channel; sees everything acknowledged before the call. `after`: as `position` in open(). */
  read(site: string, channel: string, after: number): Promise<ReadResult> {
    const feed = this.#feeds.get(channelKey(site, channel));
    return feed ? feed.source.read(after) : this.options.reader.read(site, channel, after);
  }

  /** The global id of the last notice; undefined if none has come since the last catch-up. */
  get lastGlobalId(): number | undefined {
    return this.#globalId;
  }

  /**
   * Takes the notices of a notification. Returns false if a global id is not above the last one: an old notification
   * was sent again, or the past is another one.
   */
  announce(notices: readonly Notice[]): boolean {
    const isTraced = noticeTrace.isOn;
    let isNews = true;
    for (const notice of notices) {
      if (this.#globalId !== undefined) {
        if (notice.globalId <= this.#globalId) {
          isNews = false;
          if (isTraced) traceNotice(notice, 'repeated');
          continue;
        }
        if (notice.globalId > this.#globalId + 1) {
          if (isTraced) noticeTrace.tell({ event: 'gap', after: this.#globalId, globalId: notice.globalId });
          this.miss();
        }
      }
      this.#globalId = notice.globalId;
      const outcome = this.#feeds.get(channelKey(notice.site, notice.channel))?.announce(notice.messageId, notice);
      const outcomeOfAll = this.#all?.announce(notice.globalId, notice);
      if (!isTraced) continue;
      traceNotice(notice, outcome ?? 'nobody');
      if (outcomeOfAll) traceNotice(notice, outcomeOfAll, null);
    }
    return isNews;
  }

  /** Called when the settings have this new version, by which less can be read, or more. */
  changed(version: number): void {
    this.#tailMemory.learnVersion(version);
  }

  /** Called with the database's version of the settings and its time. */
  learn(terms: Terms): void {
    this.#tailMemory.learnTerms(terms);
  }

  /** Called when notifications begin to come in. Earlier ones may have been missed, so the feeds catch up. */
  connected(): void {
    this.#connection = ++this.#connections;
    this.catchUp();
  }

  /** Called when notifications no longer come in: from now on, the tails in memory may be out of date. */
  disconnected(): void {
    this.#connection = 0;
    this.#tailMemory.forget();
  }

  /** Reads what waiting cursors may have missed. */
  catchUp(): void {
    for (const feed of this.#forget()) feed.catchUp();
  }

  /**
   * Called when the past is another one, see Feed.beginAnew(). Resolves when all waiting cursors have been told their
   * place.
   */
  async beginAnew(seenAt: number): Promise<void> {
    this.era++;
    this.#former = { seenAt, endedAt: performance.now() };
    await Promise.all(this.#forget().map((feed) => feed.beginAnew(seenAt)));
  }

  /** Called when some notifications did not come in. */
  miss(): void {
    if (this.isConnected) this.connected();
    else this.catchUp();
  }

  /** Forgets everything except feeds that have a cursor, and returns those. */
  #forget(): Feed[] {
    this.#globalId = undefined;
    this.#tailMemory.forget();
    for (const [key, feed] of this.#feeds) if (!feed.isUsed) this.#feeds.delete(key);
    this.#idle.clear();
    if (this.#all && !this.#all.isUsed) this.#all = undefined;
    return [...this.#feeds.values(), ...(this.#all ? [this.#all] : [])];
  }

  /** Closes all cursors with POSTBUS_CLOSED: nothing would come to them any more. */
  close(): void {
    this.#closed = true;
    this.#connection = 0;
    for (const cursor of this.#forget().flatMap((feed) => [...feed.cursors])) cursor.fail(new errors.CLOSED());
    clearInterval(this.#sweeper);
    for (const [timer, resolve] of this.#retries) {
      clearTimeout(timer);
      resolve();
    }
    this.#retries.clear();
    this.#feeds.clear();
    this.#idle.clear();
    this.#all = undefined;
  }

  async #readFailed(error: unknown, failures: number): Promise<boolean> {
    if (!this.#closed && failures === 1) this.options.onTrouble('reading a backlog', error);
    await this.#delay(Math.min(maxRetryMs, 25 * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2));
    return !this.#closed;
  }

  #delay(ms: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#retries.delete(timer);
        resolve();
      }, ms);
      this.#retries.set(timer, resolve);
    });
  }

  #scheduleSweep(): void {
    this.#sweeper ??= setInterval(() => {
      this.#idle.sweep(Date.now() - idleFeedMs);
    }, sweepMs).unref();
  }
}

/** The source of the feed of all messages. It keeps no message in memory. */
function globalSource(reader: Pick<Reader, 'readGlobal' | 'findPlace'>): Source {
  return {
    read: (after) => reader.readGlobal(after),
    fetch: (after) => reader.readGlobal(after),
    findPlace: (lastId, mark, at) => reader.findPlace({ site: '', channel: null, lastId, mark, at }),
    recall: () => undefined,
    keep: () => {},
    forget: () => {},
    idOf: (message) => message.globalId,
  };
}

/** `channel` is null for what the feed of all channels does with the notice. */
function traceNotice(notice: Notice, event: NoticeOutcome, channel: string | null = notice.channel): void {
  const { site, messageId, globalId, message } = notice;
  noticeTrace.tell({ event, ...whereOf(site, channel), messageId, globalId, hasContent: message !== null });
}
