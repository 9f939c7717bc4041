import type { FastifyError, FastifyRequest, LogLevel, RegisterOptions } from 'fastify';
import type { Bus } from '../bus/bus.js';
import { type BusInternals, internalsOf } from '../bus/internals.js';
import { checkFlag, checkWholeNumber, type Id } from '../foundation/checks.js';
import { errors } from '../foundation/errors.js';
import { KnownKeys } from '../foundation/known-keys.js';

type MaybePromise<T> = T | Promise<T>;

/** The answer that onError gives instead of the standard answer. */
export interface ErrorReply {
  /** HTTP status, from 200 to 599. */
  statusCode: number;
  /** Headers of the answer, besides those of the plugin. */
  headers?: Record<string, string> | undefined;
  /** A string is sent as it is, anything else as JSON. */
  body?: unknown;
}

/** A client whose poll waits, as onConnect and onDisconnect get it. */
export interface ConnectedClient {
  /** The id that the client has chosen. */
  clientId: string;
  /** The user that userIdLookup found; null for nobody. */
  userId: string | null;
  /** The groups that groupIdsLookup found; empty for none. */
  groupIds: readonly string[];
  /** The site that siteIdLookup found; null for none. */
  siteId: string | null;
}

export interface PostbusOptions {
  bus: Bus;
  /**
   * Prefix of the routes, which are `{prefix}/message-bus/…`. This is Fastify's own option: its type does not allow
   * undefined.
   */
  prefix?: string;
  /** The level of `request.log` on the routes of the plugin. Fastify's own option. */
  logLevel?: LogLevel;
  /** Serializers for `request.log` on the routes of the plugin. Fastify's own option. */
  logSerializers?: NonNullable<RegisterOptions['logSerializers']>;
  /**
   * Returns the id of the user that a request comes from; null or undefined for nobody. May be async. If it throws, the
   * poll fails with POSTBUS_LOOKUP_FAILED, like with the other lookups.
   */
  userIdLookup?: ((request: FastifyRequest) => MaybePromise<Id | null | undefined>) | undefined;
  /** Returns the ids of the groups that a request's user belongs to; null or undefined for none. May be async. */
  groupIdsLookup?: ((request: FastifyRequest) => MaybePromise<readonly Id[] | null | undefined>) | undefined;
  /** Returns the site that a request may see; null or undefined for none. May be async. */
  siteIdLookup?: ((request: FastifyRequest) => MaybePromise<string | null | undefined>) | undefined;
  /**
   * Returns true if a request may see `{prefix}/message-bus/_diagnostics`. Without this lookup nobody may. May be
   * async.
   */
  isAdminLookup?: ((request: FastifyRequest) => MaybePromise<boolean | null | undefined>) | undefined;
  /**
   * Returns headers for every answer of the plugin, such as those of CORS; called before the body is read. May be
   * async.
   */
  extraResponseHeadersLookup?:
    | ((request: FastifyRequest) => MaybePromise<Record<string, string> | null | undefined>)
    | undefined;
  /**
   * Called with each poll that fails. Returns the answer for the client, or undefined for the standard answer. May be
   * async.
   */
  onError?: ((request: FastifyRequest, error: FastifyError) => MaybePromise<ErrorReply | null | undefined>) | undefined;
  /** Called when a client's poll begins to wait. */
  onConnect?: ((client: ConnectedClient, request: FastifyRequest) => unknown) | undefined;
  /** Called when the poll no longer waits, for whatever reason; not before onConnect is done. */
  onDisconnect?: ((client: ConnectedClient, request: FastifyRequest) => unknown) | undefined;
  /** False: polls that find no news are answered at once. Default: true, they wait. */
  longPollingEnabled?: boolean | undefined;
  /** Ms that a poll waits for news. Default: 25000. */
  longPollingInterval?: number | undefined;
  /** False: polls are never answered as a stream. Default: true. */
  chunkedEncodingEnabled?: boolean | undefined;
  /** Number of polls that may wait on this node; further ones are answered at once. Default: 100000. */
  maxActiveClients?: number | undefined;
  /**
   * Number of channels that all waiting polls together may name; further polls are answered at once. Default: 200000.
   */
  maxWaitingChannels?: number | undefined;
  /** Number of channels that one poll may name. Default: 200. */
  maxChannels?: number | undefined;
  /** Bytes that the body of a poll may have. Default: 65536. */
  bodyLimit?: number | undefined;
}

export interface Settings {
  bus: Bus;
  internals: BusInternals;
  /** Options for the Fastify scopes of the routes. */
  scope: RegisterOptions;
  userIdLookup: PostbusOptions['userIdLookup'];
  groupIdsLookup: PostbusOptions['groupIdsLookup'];
  siteIdLookup: PostbusOptions['siteIdLookup'];
  isAdminLookup: PostbusOptions['isAdminLookup'];
  extraResponseHeadersLookup: PostbusOptions['extraResponseHeadersLookup'];
  onError: PostbusOptions['onError'];
  onConnect: PostbusOptions['onConnect'];
  onDisconnect: PostbusOptions['onDisconnect'];
  longPollingEnabled: boolean;
  longPollingInterval: number;
  chunkedEncodingEnabled: boolean;
  maxActiveClients: number;
  maxWaitingChannels: number;
  maxChannels: number;
  bodyLimit: number;
}

const keys = new KnownKeys<PostbusOptions>('the plugin postbus', {
  bus: true,
  prefix: true,
  logLevel: true,
  logSerializers: true,
  userIdLookup: true,
  groupIdsLookup: true,
  siteIdLookup: true,
  isAdminLookup: true,
  extraResponseHeadersLookup: true,
  onError: true,
  onConnect: true,
  onDisconnect: true,
  longPollingEnabled: true,
  longPollingInterval: true,
  chunkedEncodingEnabled: true,
  maxActiveClients: true,
  maxWaitingChannels: true,
  maxChannels: true,
  bodyLimit: true,
});

const functions = [
  'userIdLookup',
  'groupIdsLookup',
  'siteIdLookup',
  'isAdminLookup',
  'extraResponseHeadersLookup',
  'onError',
  'onConnect',
  'onDisconnect',
] as const;

/** Checks the options of the plugin and fills in the defaults. @throws POSTBUS_BAD_OPTION */
export function toSettings(options: PostbusOptions): Settings {
  keys.check(options);
  for (const name of functions) {
    const given: unknown = options[name];
    if (given !== undefined && typeof given !== 'function') throw new errors.BAD_OPTION(name, 'must be a function');
  }
  const { logLevel, logSerializers } = options;
  const prefix = `/${options.prefix ?? ''}`.replace(/\/+/g, '/').replace(/\/$/, '');
  return {
    bus: options.bus,
    internals: internalsOf(options.bus),
    scope: { prefix, ...(logLevel && { logLevel }), ...(logSerializers && { logSerializers }) },
    userIdLookup: options.userIdLookup,
    groupIdsLookup: options.groupIdsLookup,
    siteIdLookup: options.siteIdLookup,
    isAdminLookup: options.isAdminLookup,
    extraResponseHeadersLookup: options.extraResponseHeadersLookup,
    onError: options.onError,
    onConnect: options.onConnect,
    onDisconnect: options.onDisconnect,
    longPollingEnabled: checkFlag(options.longPollingEnabled, 'longPollingEnabled') ?? true,
    longPollingInterval: checkWholeNumber(1, options.longPollingInterval, 25_000, 'longPollingInterval'),
    chunkedEncodingEnabled: checkFlag(options.chunkedEncodingEnabled, 'chunkedEncodingEnabled') ?? true,
    maxActiveClients: checkWholeNumber(0, options.maxActiveClients, 100_000, 'maxActiveClients'),
    maxWaitingChannels: checkWholeNumber(0, options.maxWaitingChannels, 200_000, 'maxWaitingChannels'),
    maxChannels: checkWholeNumber(1, options.maxChannels, 200, 'maxChannels'),
    bodyLimit: checkWholeNumber(1, options.bodyLimit, 64 * 1024, 'bodyLimit'),
  };
}
