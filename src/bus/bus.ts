import type { EventEmitter } from 'node:events';
import type { BusEvents } from '../listening/events.js';
import type { ClientMessageFilter } from '../messages/client-filters.js';
import type { Message } from '../messages/message.js';
import type { ManyMessage, PublishManyOptions, PublishOptions, SiteOptions } from '../publishing/publish-options.js';
import type { MessageCallback, Subscription } from './callback-subscription.js';
import type { DataOf } from './channel-data.js';
import type { Diagnostics } from './diagnostics.js';
import type { OffOptions, Settings, SubscribeOptions } from './options.js';

/**
 * A message bus in Postgres, as `createBus()` and `createMemoryBus()` return it. `Channels` maps channels and patterns
 * to the types of their data, see DataOf.
 *
 * Methods that return messages have two signatures: either the channel determines the type of the data, or the caller
 * names it, as in `backlog<Order>`. One signature with a conditional type would not do for `backlog<T>` in a generic
 * function, because TypeScript does not resolve the condition there.
 *
 * Methods reject with the errors of docs/errors.md: POSTBUS_BAD_… if an argument is wrong, POSTBUS_CLOSED after
 * close(), and the codes of the database, such as POSTBUS_NO_SERVER, POSTBUS_NO_SCHEMA, POSTBUS_NO_PERMISSION and
 * POSTBUS_CONNECTION_LOST.
 */
export interface Bus<Channels extends object = Record<string, unknown>> {
  /**
   * Creates the schema, or brings it up to date. Every node may call it at each start, also beside nodes of a newer
   * version.
   *
   * @throws POSTBUS_NEWER_SCHEMA if a newer version has migrated the schema
   */
  migrate(): Promise<void>;

  /**
   * Checks that the database and the schema are there, and begins to listen. If the connection is lost later, the bus
   * connects again in the background.
   */
  connect(): Promise<void>;

  /**
   * Resolves if this bus can do its work now: the schema has all that this version needs, the role has the rights that
   * it needs, a publish would succeed, and, if the bus listens, messages arrive here. Settles within 2 s, and asks the
   * database every 3 s at most.
   *
   * @throws the error that bus.publish() would reject with, or POSTBUS_NOT_LISTENING while no messages arrive here
   */
  check(): Promise<void>;

  /** True if messages that are published anywhere arrive here now. */
  readonly isConnected: boolean;

  /** Why `isConnected` is false, usually a PostbusError. Undefined while connected. */
  readonly outage: unknown;

  /** Emits `connected` and `disconnected`, each time that `isConnected` changes. */
  readonly events: EventEmitter<BusEvents>;

  /**
   * Publishes a message. Resolves to its message id in the channel, a whole number from 1 on, once the message is
   * durable. Calls of one process are sent in their order, many in one transaction if they come faster than the
   * database answers; if one message is refused, the others are published all the same. Resolves to 0, which is no
   * message's id, while the bus is off.
   *
   * @throws POSTBUS_DATA_TOO_LARGE if the data has more bytes than `maxDataSize`; POSTBUS_LOCKED if another transaction
   * holds the channel's lock for `queryTimeout` ms; POSTBUS_CONNECTION_LOST if the connection broke: the message may or
   * may not have been published
   */
  publish<const Channel extends string>(
    channel: Channel,
    data: DataOf<Channels, Channel>,
    options?: PublishOptions,
  ): Promise<number>;

  /**
   * Publishes messages in one transaction, all or none. Resolves to their message ids in the order given, each 0 while
   * the bus is off. They do not wait for messages of earlier calls of publish(). `siteId` counts for messages that name
   * none.
   *
   * @throws the errors of publish()
   */
  publishMany(messages: readonly ManyMessage[], options?: PublishManyOptions): Promise<number[]>;

  /**
   * Calls `callback` with the messages of a channel (null: of all channels and sites), in order, one at a time: if it
   * returns a promise, the next call waits for that. The second argument is the subscription, so that a callback can
   * end it. Resolves to the subscription once no message that is published from then on can be missed. While the bus is
   * off, it resolves at once, and messages come after on().
   */
  subscribe<const Channel extends string, Data extends DataOf<Channels, Channel>>(
    channel: Channel | null,
    callback: MessageCallback<Data>,
    options?: SubscribeOptions,
  ): Promise<Subscription>;
  subscribe<Data>(
    channel: string | null,
    callback: MessageCallback<NoInfer<Data>>,
    options?: SubscribeOptions,
  ): Promise<Subscription>;

  /**
   * Ends all subscriptions of this callback to this channel and site. To end a single one, call unsubscribe() of the
   * subscription.
   */
  unsubscribe(channel: string | null, callback: MessageCallback<never>, options?: SiteOptions): Promise<void>;

  /**
   * Hides messages from the HTTP clients of this process: those on channels that begin with `prefix` for which the
   * filter does not return true. A filter that throws, or returns anything but true or false, hides the message, and is
   * logged.
   */
  registerClientMessageFilter<Data = unknown>(prefix: string, filter: ClientMessageFilter<Data>): void;

  /**
   * Resolves to the messages of a channel with message ids above `lastId` (default: 0, all that can be read), oldest
   * first.
   */
  backlog<const Channel extends string, Data extends DataOf<Channels, Channel>>(
    channel: Channel,
    lastId?: number,
    options?: SiteOptions,
  ): Promise<Message<NoInfer<Data>>[]>;
  backlog<Data>(channel: string, lastId?: number, options?: SiteOptions): Promise<Message<NoInfer<Data>>[]>;

  /**
   * Resolves to the messages of all channels and sites with global ids above `lastGlobalId` (default: 0, all that can
   * be read), oldest first.
   */
  globalBacklog<Data = unknown>(lastGlobalId?: number): Promise<Message<Data>[]>;

  /** Resolves to the message id of the last message of a channel; 0 if nothing was ever published to it. */
  lastId(channel: string, options?: SiteOptions): Promise<number>;

  /** Resolves to the message ids of the last messages of several channels, in the order asked for. */
  lastIds(channels: readonly string[], options?: SiteOptions): Promise<number[]>;

  /** Resolves to the last message of a channel; null if there is none, or it can no longer be read. */
  lastMessage<const Channel extends string, Data extends DataOf<Channels, Channel>>(
    channel: Channel,
    options?: SiteOptions,
  ): Promise<Message<NoInfer<Data>> | null>;
  lastMessage<Data>(channel: string, options?: SiteOptions): Promise<Message<NoInfer<Data>> | null>;

  /** Resolves to one message by its message id; null if it does not exist or can no longer be read. */
  getMessage<const Channel extends string, Data extends DataOf<Channels, Channel>>(
    channel: Channel,
    messageId: number,
    options?: SiteOptions,
  ): Promise<Message<NoInfer<Data>> | null>;
  getMessage<Data>(channel: string, messageId: number, options?: SiteOptions): Promise<Message<NoInfer<Data>> | null>;

  /**
   * Changes settings of the bus, for all nodes and publishers; they are kept in the database. What is left out stays as
   * it is.
   */
  configure(settings: Settings): Promise<void>;

  /** Deletes all messages of the bus. Ids go on from where they were. */
  expireAllBacklogs(): Promise<void>;

  /**
   * Does the same as expireAllBacklogs(), for use between two tests. Connected clients go on, and miss nothing that is
   * published later.
   */
  reset(): Promise<void>;

  /**
   * Turns the bus off in this process. Until on(), it neither publishes nor receives: publish() resolves to 0, polls
   * are answered with status 503, and subscribers get what they have missed after on(). Reads and settings work; apart
   * from those, the bus sends no queries.
   */
  off(options?: OffOptions): void;

  /** Turns the bus on again after off(). */
  on(): void;

  /** True if off() was called, and on() has not been called since. */
  readonly isOff: boolean;

  /** Resolves to the state of the bus and of this node, for administrators. */
  diagnostics(): Promise<Diagnostics>;

  /**
   * Sends the messages of earlier calls of publish(), then ends subscriptions and connections of this process. Messages
   * that cannot be sent within 5 s are rejected: with POSTBUS_CLOSED, or with POSTBUS_CONNECTION_LOST if they are under
   * way. May be called twice.
   */
  close(): Promise<void>;
}
