import { randomUUID } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import { hostname } from 'node:os';
import { Database } from '../database/database.js';
import { checkSchema } from '../database/migrate/migrate.js';
import type { Postgres } from '../database/postgres.js';
import { Dispatcher } from '../delivery/dispatcher.js';
import {
  checkChannel,
  checkFlag,
  checkLimit,
  checkMessageId,
  checkPosition,
  checkSite,
  checkWholeNumber,
  maxDataSizeCeiling,
  siteOf,
} from '../foundation/checks.js';
import { errors } from '../foundation/errors.js';
import { checkLogger, type Logger } from '../foundation/logger.js';
import { Meter } from '../foundation/meter.js';
import { ThrottledLogByCode } from '../foundation/throttled-log.js';
import { publishTrace } from '../foundation/trace.js';
import { BusEventEmitter, type BusEvents } from '../listening/events.js';
import { Listening } from '../listening/listening.js';
import { ClientFilters, type ClientMessageFilter } from '../messages/client-filters.js';
import { type Codec, checkCodec, encode } from '../messages/codec.js';
import type { Message, StoredMessage } from '../messages/message.js';
import { checkPublication } from '../publishing/check-publication.js';
import { publishList } from '../publishing/publish-list.js';
import {
  type ManyMessage,
  manyKeys,
  messageKeys,
  type PublishManyOptions,
  type PublishOptions,
  type SiteOptions,
} from '../publishing/publish-options.js';
import { publishListWithClient, publishWithClient } from '../publishing/publish-with-client.js';
import { Publisher } from '../publishing/publisher.js';
import { Relay } from '../publishing/relay.js';
import { traceOff, tracePublish } from '../publishing/trace-publish.js';
import { readAll } from '../reading/read-all.js';
import { Reader } from '../reading/reader.js';
import type { Bus } from './bus.js';
import { CallbackSubscription, type MessageCallback, type Subscription } from './callback-subscription.js';
import type { DataOf } from './channel-data.js';
import { type Diagnostics, diagnose } from './diagnostics.js';
import { type BusInternals, internals } from './internals.js';
import { offKeys, settingKeys, siteKeys, subscribeKeys } from './known-options.js';
import { migrateBus } from './migrate-bus.js';
import type { BusOptions, OffOptions, Settings, SubscribeOptions } from './options.js';
import { Readiness } from './readiness.js';
import { Schemas } from './schemas.js';

/**
 * The bus of createBus() and createMemoryBus(), on any Postgres: connects the rooms below, and checks arguments. See
 * Bus.
 */
export class PostgresBus<Channels extends object> implements Bus<Channels> {
  readonly #database: Database;
  readonly #reader: Reader;
  readonly #publisher: Publisher;
  readonly #listening: Listening;
  readonly #readiness: Readiness;
  readonly #logger: Logger;
  readonly #events: BusEventEmitter;
  readonly #codec: Codec | undefined;
  readonly #schemas: Schemas | undefined;
  /** In an outage, reads of thousands of channels fail: log each code once a minute. */
  readonly #readFailures = new ThrottledLogByCode<string>((err, count, what) =>
    this.#logger.warn({ err, count }, `${what} failed; it is tried again`),
  );
  readonly #subscriptions = new Set<CallbackSubscription>();
  /** The name of this node, in diagnostics and for the relay. */
  readonly #node = `${hostname()}/${process.pid}/${randomUUID().slice(0, 8)}`;
  readonly #published = new Meter();
  #isOff = false;
  #isPublishingOff = false;
  #closing: Promise<void> | undefined;

  readonly #dispatcher: Dispatcher;
  readonly #clientFilters: ClientFilters;

  constructor(options: Omit<BusOptions, 'connectionString' | 'pool'>, postgres: Postgres) {
    const schema = options.schema ?? 'message_bus';
    checkSchema(schema);
    this.#logger = checkLogger(options.logger);
    this.#codec = checkCodec(options.codec);
    this.#schemas = options.schemas === undefined ? undefined : new Schemas(options.schemas);
    this.#clientFilters = new ClientFilters(this.#logger, this.#codec);
    this.#events = new BusEventEmitter((err) => this.#logger.error({ err }, 'a listener of bus.events failed'));
    this.#database = new Database(postgres, schema, options.queryTimeout);
    this.#reader = new Reader(this.#database);
    this.#publisher = new Publisher(this.#database);
    this.#readiness = new Readiness(this.#database);
    this.#dispatcher = new Dispatcher({
      reader: this.#reader,
      onTrouble: (what, error) => this.#readFailures.report(error, what),
      onIdsWentBack: () => this.#listening.doubt(),
    });
    this.#listening = new Listening({
      database: this.#database,
      dispatcher: this.#dispatcher,
      logger: this.#logger,
      events: this.#events,
      node: this.#node,
      whileListening: new Relay(this.#database, this.#node, this.#logger),
      keepaliveInterval: checkWholeNumber(0, options.keepaliveInterval, 60_000, 'keepaliveInterval'),
    });
  }

  get [internals](): BusInternals {
    return { dispatcher: this.#dispatcher, clientFilters: this.#clientFilters };
  }

  async migrate(): Promise<void> {
    this.#checkOpen();
    await migrateBus(this.#database, this.#readiness, this.#logger);
  }

  async connect(): Promise<void> {
    this.#checkOpen();
    this.#listening.start();
    if (!this.#isOff) await this.#listening.check();
  }

  async check(): Promise<void> {
    this.#checkOpen();
    if (this.#isOff) throw new errors.OFF();
    await this.#readiness.check();
    this.#listening.checkHearing();
  }

  get isConnected(): boolean {
    return this.#listening.isConnected;
  }

  get outage(): unknown {
    return this.#listening.outage;
  }

  get events(): EventEmitter<BusEvents> {
    return this.#events;
  }

  async publish<const Channel extends string>(
    channel: Channel,
    data: DataOf<Channels, Channel>,
    options: PublishOptions = {},
  ): Promise<number> {
    this.#checkOpen();
    const publication = checkPublication(channel, this.#encode(channel, data), options);
    if (this.#isPublishingOff) {
      if (publishTrace.isOn) traceOff([publication]);
      return 0;
    }
    this.#published.mark();
    const id =
      options.client === undefined
        ? this.#publisher.publish(publication)
        : publishWithClient(options.client, this.#database, publication);
    if (publishTrace.isOn) {
      tracePublish(
        [publication],
        id.then((each) => [each]),
      );
    }
    return id;
  }

  async publishMany(messages: readonly ManyMessage[], options: PublishManyOptions = {}): Promise<number[]> {
    this.#checkOpen();
    manyKeys.check(options);
    if (!Array.isArray(messages)) throw new errors.BAD_OPTION('messages', 'must be a list of messages');
    const { client, siteId } = options;
    // Array.from() visits the holes that map() skips. The keys are listed, because a rest pattern would leave out
    // inherited ones.
    const publications = Array.from(messages, (message: ManyMessage) => {
      messageKeys.check(message);
      const { channel, data, userIds, groupIds, clientIds, maxBacklogSize, maxBacklogAge } = message;
      const own = { userIds, groupIds, clientIds, maxBacklogSize, maxBacklogAge, siteId: message.siteId ?? siteId };
      return checkPublication(channel, this.#encode(channel, data), own);
    });
    if (this.#isPublishingOff) {
      if (publishTrace.isOn) traceOff(publications);
      return publications.map(() => 0);
    }
    this.#published.mark(publications.length);
    const ids =
      client === undefined
        ? publishList(this.#database, publications)
        : publishListWithClient(client, this.#database, publications);
    if (publishTrace.isOn) tracePublish(publications, ids);
    return ids;
  }

  async subscribe(
    channel: string | null,
    callback: MessageCallback<never>,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    this.#checkOpen();
    subscribeKeys.check(options);
    checkSiteOfAll(channel, options.siteId);
    const subscription = new CallbackSubscription({
      dispatcher: this.#dispatcher,
      logger: this.#logger,
      channel: channel === null ? null : checkChannel(channel),
      site: channel === null ? '' : siteOf(checkSite(options.siteId), channel),
      position: checkPosition(options.lastId ?? -1, 'lastId'),
      callback,
      codec: this.#codec,
      onGap: options.onGap,
      onEnd: (ended) => this.#subscriptions.delete(ended),
      onReadFailed: (error) => this.#readFailures.report(error, 'reading for a subscriber'),
    });
    this.#listening.start();
    this.#subscriptions.add(subscription);
    if (!this.#isOff) await subscription.start();
    return subscription;
  }

  async unsubscribe(
    channel: string | null,
    callback: MessageCallback<never>,
    options: SiteOptions = {},
  ): Promise<void> {
    this.#checkOpen();
    const siteId = checkSiteOptions(options);
    checkSiteOfAll(channel, siteId);
    const site = channel === null ? '' : siteOf(siteId, checkChannel(channel));
    for (const subscription of [...this.#subscriptions]) {
      if (subscription.isOf(site, channel, callback)) subscription.end();
    }
  }

  registerClientMessageFilter<Data = unknown>(prefix: string, filter: ClientMessageFilter<Data>): void {
    this.#checkOpen();
    this.#clientFilters.register(prefix, filter);
  }

  async backlog<Data>(channel: string, lastId = 0, options: SiteOptions = {}): Promise<Message<Data>[]> {
    this.#checkOpen();
    const site = siteOf(checkSiteOptions(options), checkChannel(channel));
    const id = checkMessageId(lastId, 'lastId');
    return this.#toMessages(await readAll((after) => this.#dispatcher.read(site, channel, after), id));
  }

  async globalBacklog<Data = unknown>(lastGlobalId = 0): Promise<Message<Data>[]> {
    this.#checkOpen();
    const id = checkMessageId(lastGlobalId, 'lastGlobalId');
    return this.#toMessages(await readAll((after) => this.#reader.readGlobal(after), id));
  }

  async lastId(channel: string, options: SiteOptions = {}): Promise<number> {
    const [id] = await this.lastIds([channel], options);
    return id ?? 0;
  }

  async lastIds(channels: readonly string[], options: SiteOptions = {}): Promise<number[]> {
    this.#checkOpen();
    const siteId = checkSiteOptions(options);
    if (!Array.isArray(channels)) throw new errors.BAD_OPTION('channels', 'must be a list of channels');
    const sites = Array.from(channels, (channel: string, i) => siteOf(siteId, checkChannel(channel, `channels[${i}]`)));
    const heads = await Promise.all(channels.map((channel, i) => this.#reader.head(sites[i] ?? '', channel)));
    return heads.map((head) => head.lastId);
  }

  async lastMessage<Data>(channel: string, options: SiteOptions = {}): Promise<Message<Data> | null> {
    this.#checkOpen();
    const site = siteOf(checkSiteOptions(options), checkChannel(channel));
    const { batch } = await this.#dispatcher.read(site, channel, -2);
    return batch.messages.at(-1)?.toMessage(this.#codec) ?? null;
  }

  async getMessage<Data>(channel: string, messageId: number, options: SiteOptions = {}): Promise<Message<Data> | null> {
    this.#checkOpen();
    const site = siteOf(checkSiteOptions(options), checkChannel(channel));
    const message = await this.#reader.readOne(site, channel, checkMessageId(messageId, 'messageId'));
    return message?.toMessage(this.#codec) ?? null;
  }

  async configure(settings: Settings): Promise<void> {
    this.#checkOpen();
    settingKeys.check(settings);
    await this.#change('configure', [
      checkLimit(settings.clearEvery, 'clearEvery') ?? null,
      checkLimit(settings.maxBacklogSize, 'maxBacklogSize') ?? null,
      checkLimit(settings.maxGlobalBacklogSize, 'maxGlobalBacklogSize') ?? null,
      checkLimit(settings.maxBacklogAge, 'maxBacklogAge') ?? null,
      checkFlag(settings.relay, 'relay') ?? null,
      checkLimit(settings.maxDataSize, 'maxDataSize', maxDataSizeCeiling) ?? null,
      checkLimit(settings.backlogSizeCap, 'backlogSizeCap') ?? null,
      checkLimit(settings.backlogAgeCap, 'backlogAgeCap') ?? null,
    ]);
  }

  async expireAllBacklogs(): Promise<void> {
    this.#checkOpen();
    await this.#change('expire_all_backlogs', []);
  }

  async reset(): Promise<void> {
    this.#checkOpen();
    await this.#change('reset', []);
  }

  off(options: OffOptions = {}): void {
    this.#checkOpen();
    offKeys.check(options);
    const isPublishingOff = checkFlag(options.disablePublish, 'disablePublish') ?? true;
    this.#isOff = true;
    this.#isPublishingOff = isPublishingOff;
    this.#listening.pause();
  }

  on(): void {
    this.#checkOpen();
    if (!this.#isOff) return;
    this.#isOff = false;
    this.#isPublishingOff = false;
    this.#listening.resume();
    for (const subscription of this.#subscriptions) subscription.begin();
  }

  get isOff(): boolean {
    return this.#isOff;
  }

  async diagnostics(): Promise<Diagnostics> {
    this.#checkOpen();
    return diagnose({
      database: this.#database,
      dispatcher: this.#dispatcher,
      node: this.#node,
      listening: this.#listening,
      published: this.#published,
      isOff: this.#isOff,
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const subscription of [...this.#subscriptions]) subscription.end();
    this.#dispatcher.close();
    await Promise.all([this.#listening.close(), this.#publisher.drain(drainMs)]);
    await this.#database.close();
  }

  /**
   * Returns the data to be written as JSON: encoded by the codec, if there is one.
   *
   * @throws POSTBUS_BAD_DATA if its schema refuses it
   */
  #encode(channel: string, data: unknown): unknown {
    this.#schemas?.check(channel, data);
    return this.#codec ? encode(this.#codec, data) : data;
  }

  #toMessages<Data>(messages: StoredMessage[]): Message<Data>[] {
    return messages.map((message) => message.toMessage<Data>(this.#codec));
  }

  async #change(name: string, values: unknown[]): Promise<void> {
    const parameters = values.map((_value, i) => `$${i + 1}`);
    await this.#database.query(`select ${this.#database.name(name)}(${parameters})`, values);
    if (this.#dispatcher.counts.channels === 0) return;
    const { terms } = await this.#reader.head('', '');
    this.#dispatcher.changed(terms.version);
  }

  #checkOpen(): void {
    if (this.#closing) throw new errors.CLOSED();
  }
}

function checkSiteOptions(options: SiteOptions): string | undefined {
  siteKeys.check(options);
  return checkSite(options.siteId);
}

/** Refuses a site without a channel: who names one expects no messages of other sites. @throws POSTBUS_BAD_OPTION */
function checkSiteOfAll(channel: string | null, siteId: string | null | undefined): void {
  if (channel !== null || siteId === undefined || siteId === null) return;
  throw new errors.BAD_OPTION('siteId', 'makes no sense without a channel: null stands for the channels of all sites');
}

// Ms within which close() sends messages that wait: less than service managers allow before they kill a process.
const drainMs = 5_000;
