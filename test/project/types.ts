// What the compiler must say of the public names: `npx tsc` checks this file, nothing runs it. A line that should not
// compile and does is an error too.
import type { FastifyInstance } from 'fastify';
import type { Pool } from 'pg';
import {
  type Callback,
  type Diagnostics as ClientDiagnostics,
  type ClientSettings,
  type ClientStatus,
  MessageBusClient,
  type MessageCallback,
} from '../../src/client/index.js';
import type {} from '../../src/client/page/message-bus.js';
import pageBus, { type PageBus } from '../../src/client/page/page.js';
import { type CacheValue, DistributedCache, type DistributedCacheOptions } from '../../src/distributed-cache/index.js';
import postbus, { type PostbusOptions } from '../../src/fastify/index.js';
import {
  type Bus,
  type BusOptions,
  type Codec,
  createBus,
  type Diagnostics,
  type Gap,
  type Id,
  isPostbusError,
  type Logger,
  type Message,
  type PostbusErrorCode,
  printMigration,
  type Settings,
  type Subscription,
} from '../../src/index.js';

type Same<A, B> = [A, B] extends [B, A] ? true : false;
/** `expectType<A>()(value)`: the value is an A, and no more than that. */
const expectType =
  <Expected>() =>
  <Actual>(_value: Actual, ..._same: Same<Expected, Actual> extends true ? [] : ['another type']): void => {};

export async function buses(app: FastifyInstance, bus: Bus): Promise<void> {
  expectType<Bus>()(createBus());
  // @ts-expect-error: the type itself must be able to fail
  expectType<Bus>()(1);
  // @ts-expect-error: what is internal is not shown
  bus.dispatcher;
  // @ts-expect-error: what is internal is not shown
  bus.clientFilters;
  createBus({ connectionString: 'postgres://…', schema: 'bus', logger: app.log });
  createBus({ logger: { warn: () => {}, error: () => {} } });
  // As it comes from the environment
  const fromEnvironment: string | undefined = process.env.DATABASE_URL;
  createBus({ connectionString: fromEnvironment });
  // @ts-expect-error: not a string
  createBus({ connectionString: 5432 });
  // @ts-expect-error: misspelt
  createBus({ connectionstring: 'postgres://…' });
  // @ts-expect-error: not a pool
  createBus({ pool: {} });
  // @ts-expect-error: lacks error()
  createBus({ logger: { warn: () => {} } });
  const options: BusOptions = {};
  expectType<Bus>()(createBus(options));
  const logger: Logger = console;
  createBus({ logger });

  expectType<void>()(await bus.migrate());
  expectType<void>()(await bus.connect());
  expectType<boolean>()(bus.isConnected);
  // @ts-expect-error: for reading
  bus.isConnected = true;
  createBus({ keepaliveInterval: 0 });
  // @ts-expect-error: ms, as a number
  createBus({ keepaliveInterval: '60s' });
  bus.events.on('connected', () => {}).once('disconnected', (error) => expectType<unknown>()(error));
  // @ts-expect-error: no such event
  bus.events.on('message', () => {});
  expectType<string>()(await printMigration('message_bus'));
}

export async function publishing(bus: Bus): Promise<void> {
  expectType<number>()(await bus.publish('/a', { any: ['json', null] }));
  await bus.publish('/a', null, { userIds: ['7', 8], groupIds: [9], clientIds: ['c'], siteId: 's' });
  await bus.publish('/a', null, { maxBacklogSize: 10, maxBacklogAge: 60 });
  await bus.publish('/a', null, { userIds: undefined, siteId: undefined });
  const frozen: readonly Id[] = [1, 'b', 2n];
  await bus.publish('/a', null, { userIds: frozen });
  // @ts-expect-error: no channel
  await bus.publish(null, 1);
  // @ts-expect-error: no data
  await bus.publish('/a');
  // @ts-expect-error: a list, not one id
  await bus.publish('/a', 1, { userIds: 7 });
  // @ts-expect-error: ids are strings or numbers
  await bus.publish('/a', 1, { userIds: [true] });
  // @ts-expect-error: ids are strings or numbers
  await bus.publish('/a', 1, { clientIds: [null] });
  // @ts-expect-error: everyone is the list left out, not null
  await bus.publish('/a', 1, { groupIds: null });
  // @ts-expect-error: the names of SQL are not those of Node; misspelt targets would reach everyone
  await bus.publish('/a', 1, { user_ids: ['7'] });
  // @ts-expect-error: sites are strings
  await bus.publish('/a', 1, { siteId: 1 });
  // @ts-expect-error: a number
  await bus.publish('/a', 1, { maxBacklogSize: '10' });
}

export async function subscribing(bus: Bus): Promise<void> {
  const subscription = await bus.subscribe('/a', (message) => {
    expectType<Message>()(message);
    expectType<unknown>()(message.data);
    // @ts-expect-error: data must be looked at before it is used
    message.data.text;
  });
  expectType<Subscription>()(subscription);
  expectType<string | null>()(subscription.channel);
  expectType<void>()(await subscription.unsubscribe());
  await bus.subscribe(null, async () => {}, { lastId: -1 });
  await bus.subscribe('/a', () => {}, { lastId: 0, siteId: 's' });
  const onGap = (gap: Gap) => expectType<{ channel: string | null; after: number; firstId: number }>()({ ...gap });
  await bus.subscribe('/a', () => {}, { lastId: 5, onGap });
  await bus.subscribe('/a', () => {}, { onGap: async () => {} });
  // @ts-expect-error: a function
  await bus.subscribe('/a', () => {}, { onGap: true });
  expectType<void>()(await bus.unsubscribe('/a', () => {}));
  await bus.unsubscribe(null, () => {});
  await bus.unsubscribe('/a', (_message: Message) => {}, { siteId: 's' });
  // @ts-expect-error: which callback?
  await bus.unsubscribe('/a');
  expectType<void>()(bus.registerClientMessageFilter('/a', (message) => message.userIds === null));
  // @ts-expect-error: not async
  bus.registerClientMessageFilter('/a', async () => true);
  // @ts-expect-error: true or false, whatever is forgotten
  bus.registerClientMessageFilter('/a', () => {});
  // @ts-expect-error: all channels are null
  await bus.subscribe(undefined, () => {});
  // @ts-expect-error: one channel
  await bus.subscribe(['/a', '/b'], () => {});
  // @ts-expect-error: no callback
  await bus.subscribe('/a');
  // @ts-expect-error: the callback comes second
  await bus.subscribe('/a', { lastId: 0 }, () => {});
  await bus.subscribe('/a', (_message, own) => {
    expectType<Subscription>()(own);
    own.unsubscribe();
  });
  // @ts-expect-error: the callback is given one message, and the subscription
  await bus.subscribe('/a', (_data: unknown, _globalId: number) => {});
  // @ts-expect-error: ids of messages are numbers
  await bus.subscribe('/a', () => {}, { lastId: '5' });
}

export async function typedData(plain: Bus, pool: Pool, app: FastifyInstance): Promise<void> {
  interface Order {
    status: string;
  }
  await plain.subscribe<Order>('/orders/7', (message) => expectType<string>()(message.data.status));
  await plain.subscribe<Order>(null, (message) => expectType<string>()(message.data.status));
  await plain.subscribe('/orders/7', (message: Message<Order>) => expectType<string>()(message.data.status));
  await plain.subscribe('/orders/7', async ({ data }: Message<string>, own) => {
    expectType<string>()(data);
    await own.unsubscribe();
  });
  await plain.unsubscribe('/orders/7', (_message: Message<Order>) => {});
  expectType<Message<Order>[]>()(await plain.backlog<Order>('/orders/7'));
  expectType<Message<Order>[]>()(await plain.globalBacklog<Order>());
  expectType<Message<Order> | null>()(await plain.getMessage<Order>('/orders/7', 1));
  expectType<Message<Order> | null>()(await plain.lastMessage<Order>('/orders/7'));
  plain.registerClientMessageFilter<Order>('/orders/7', ({ data }) => data.status === 'paid');

  interface Channels {
    '/orders/*': Order;
    '/chat': string;
    '/team/**': number;
    'plain/*/x': boolean;
  }
  const bus = createBus<Channels>({ connectionString: 'postgres://…' });
  const id: number = 7;
  await bus.publish('/orders/7', { status: 'paid' });
  await bus.publish(`/orders/${id}`, { status: 'paid' });
  await bus.publish('/chat', 'hello', { userIds: [1] });
  await bus.publish('/team/a/b', 1);
  await bus.publish('plain/1/x', true);
  await bus.publish('/elsewhere', { any: 'thing' });
  // @ts-expect-error: not an order
  await bus.publish('/orders/7', { state: 'paid' });
  // @ts-expect-error: not an order
  await bus.publish(`/orders/${id}`, 'paid');
  // @ts-expect-error: not a string
  await bus.publish('/chat', 1);
  // @ts-expect-error: not a number
  await bus.publish('/team/a/b', 'one');
  await bus.publish('/orders/7/items', 'a star is one segment');
  await bus.subscribe('/orders/7', (message) => expectType<string>()(message.data.status));
  await bus.subscribe('/chat', ({ data }) => expectType<string>()(data));
  await bus.subscribe(null, ({ data }) => expectType<unknown>()(data));
  expectType<Message<Order>[]>()(await bus.backlog('/orders/7'));
  expectType<Message<string> | null>()(await bus.lastMessage('/chat'));
  expectType<Message<number> | null>()(await bus.getMessage('/team/a/b', 1));
  expectType<Message<unknown>[]>()(await bus.backlog('/elsewhere'));
  // @ts-expect-error: not an order
  await bus.subscribe('/orders/7', (_message: Message<number>) => {});
  // @ts-expect-error: not orders
  const _strings: Message<string>[] = await bus.backlog('/orders/7');
  await bus.subscribe<string>('/orders/7', ({ data }) => expectType<string>()(data));
  await app.register(postbus, { bus });
  await DistributedCache.open(bus, 'names');

  const client = await pool.connect();
  expectType<number>()(await bus.publish('/chat', 'hello', { client }));
  await plain.publish('/chat', 1, { client: { query: async (_text: string, _values: unknown[]) => ({ rows: [] }) } });
  expectType<number[]>()(await plain.publishMany([{ channel: '/a', data: 1, userIds: [1] }], { client, siteId: 's' }));
  // @ts-expect-error: no data
  await plain.publishMany([{ channel: '/a' }]);
  // @ts-expect-error: misspelt
  await plain.publishMany([{ channel: '/a', data: 1, userId: 1 }]);
  // @ts-expect-error: no client
  await plain.publish('/chat', 1, { client: 'postgres://…' });
}

/** Of a type that only the caller of the function names. */
export async function handedOn<Data>(bus: Bus, handle: (data: Data) => void): Promise<Message<Data>[]> {
  await bus.subscribe<Data>('/a', ({ data }) => handle(data));
  await bus.subscribe('/a', ({ data }: Message<Data>) => handle(data));
  const last: Message<Data> | null = (await bus.lastMessage<Data>('/a')) ?? (await bus.getMessage<Data>('/a', 1));
  if (last) handle(last.data);
  const all: Message<Data>[] = await bus.globalBacklog<Data>();
  for (const { data } of all) handle(data);
  return bus.backlog<Data>('/a');
}

export async function reading(bus: Bus): Promise<void> {
  expectType<Message[]>()(await bus.backlog('/a'));
  expectType<Message[]>()(await bus.backlog('/a', 10, { siteId: 's' }));
  expectType<Message[]>()(await bus.globalBacklog(100));
  expectType<number>()(await bus.lastId('/a', { siteId: 's' }));
  expectType<number[]>()(await bus.lastIds(['/a', '/b']));
  expectType<Message | null>()(await bus.lastMessage('/a'));
  expectType<Message | null>()(await bus.getMessage('/a', 1));
  // @ts-expect-error: the id is missing
  await bus.getMessage('/a');
  // @ts-expect-error: all channels have globalBacklog()
  await bus.backlog(null);
  // @ts-expect-error: the site is an option
  await bus.backlog('/a', 10, 's');
  // @ts-expect-error: a list
  await bus.lastIds('/a');
  // @ts-expect-error: an id is a number
  await bus.globalBacklog('100');

  const message: Message<{ text: string }> = {
    globalId: 1,
    messageId: 1,
    channel: '/a',
    siteId: null,
    data: { text: 'hello' },
    userIds: null,
    groupIds: ['7'],
    clientIds: null,
  };
  expectType<string>()(message.data.text);
  expectType<string[] | null>()(message.userIds);
  // @ts-expect-error: targets are strings here
  message.groupIds = [7];
  // @ts-expect-error: there is a site, or null
  message.siteId = undefined;
}

export async function settings(bus: Bus): Promise<void> {
  const all: Settings = { clearEvery: 1, maxBacklogSize: 2, maxGlobalBacklogSize: 3, maxBacklogAge: 4, maxDataSize: 5 };
  expectType<void>()(await bus.configure(all));
  await bus.configure({});
  // @ts-expect-error: misspelt
  await bus.configure({ max_backlog_size: 10 });
  // @ts-expect-error: seconds, as a number
  await bus.configure({ maxBacklogAge: '7 days' });
  expectType<void>()(await bus.expireAllBacklogs());
  expectType<void>()(await bus.reset());
  expectType<void>()(bus.off());
  bus.off({ disablePublish: false });
  // @ts-expect-error: misspelt
  bus.off({ disable_publish: false });
  expectType<void>()(bus.on());
  expectType<boolean>()(bus.isOff);
  expectType<Diagnostics>()(await bus.diagnostics());
  expectType<void>()(await bus.close());
}

export async function plugin(app: FastifyInstance, bus: Bus): Promise<void> {
  await app.register(postbus, { bus });
  await app.register(postbus, {
    bus,
    prefix: '/bus',
    userIdLookup: (request) => request.headers['x-user']?.toString(),
    groupIdsLookup: async (request) => [request.ip, 7],
    siteIdLookup: () => null,
    isAdminLookup: async ({ headers }) => headers.authorization === 'secret',
    extraResponseHeadersLookup: async (request) => ({ 'access-control-allow-origin': request.headers.origin ?? '*' }),
    onError: (_request, error) => (error.statusCode === 413 ? { statusCode: 413, body: 'too much' } : undefined),
    onConnect: ({ clientId, userId, groupIds, siteId }, request) => {
      expectType<string>()(clientId);
      expectType<string | null>()(userId);
      expectType<readonly string[]>()(groupIds);
      expectType<string | null>()(siteId);
      request.log.info('connected');
    },
    onDisconnect: async () => {},
    longPollingEnabled: true,
    longPollingInterval: 25_000,
    chunkedEncodingEnabled: true,
    maxActiveClients: 100,
    maxChannels: 10,
    bodyLimit: 1024,
  });
  expectType<Bus>()(app.messageBus);
  await app.messageBus.publish('/a', 1);
  // @ts-expect-error: no bus
  await app.register(postbus, {});
  // @ts-expect-error: no options
  await app.register(postbus);
  // @ts-expect-error: not a bus
  await app.register(postbus, { bus: { publish: () => {} } });
  // @ts-expect-error: misspelt, which would leave everybody nobody
  await app.register(postbus, { bus, userIDLookup: () => 1 });
  // @ts-expect-error: ids are strings or numbers
  await app.register(postbus, { bus, userIdLookup: () => ({ id: 1 }) });
  // @ts-expect-error: nor is false one
  await app.register(postbus, { bus, userIdLookup: () => false });
  // @ts-expect-error: a list
  await app.register(postbus, { bus, groupIdsLookup: () => 'staff' });
  // @ts-expect-error: sites are strings
  await app.register(postbus, { bus, siteIdLookup: async () => 7 });
  // @ts-expect-error: true or false, not a user
  await app.register(postbus, { bus, isAdminLookup: () => ({ name: 'root' }) });
  // @ts-expect-error: headers are text
  await app.register(postbus, { bus, extraResponseHeadersLookup: () => ({ 'x-number': 1 }) });
  // @ts-expect-error: a status is a number
  await app.register(postbus, { bus, onError: () => ({ statusCode: '500' }) });
  // @ts-expect-error: ms, as a number
  await app.register(postbus, { bus, longPollingInterval: '25s' });
  const options: PostbusOptions = { bus };
  await app.register(postbus, options);
  // Options handed through
  await app.register(postbus, { bus, userIdLookup: options.userIdLookup, bodyLimit: undefined });
}

export function clients(): void {
  const client = new MessageBusClient({
    baseUrl: 'https://example.org/',
    headers: { 'x-user': '7' },
    pollTimeout: 90_000,
  });
  expectType<MessageBusClient>()(new MessageBusClient());
  // @ts-expect-error: misspelt
  new MessageBusClient({ baseURL: '/' });
  // @ts-expect-error: ms, as a number
  new MessageBusClient({ callbackInterval: '15s' });
  // @ts-expect-error: values of headers are strings
  new MessageBusClient({ headers: { 'x-user': 7 } });

  const func = client.subscribe('/a', (data, globalId, messageId) => {
    expectType<unknown>()(data);
    expectType<number>()(globalId);
    expectType<number>()(messageId);
    // @ts-expect-error: data must be looked at before it is used
    data.text;
  });
  expectType<MessageCallback>()(func);
  client.subscribe<{ text: string }>('/a', (data) => expectType<string>()(data.text), -2);
  const typed = client.subscribe('/a', (data: { text: string }) => data.text, 0);
  expectType<MessageCallback<{ text: string }>>()(typed);
  client.subscribe('/a', async () => {}, null);
  client.subscribe('/a', () => {}, undefined);
  // @ts-expect-error: no callback
  client.subscribe('/a');
  // @ts-expect-error: one channel
  client.subscribe(['/a'], () => {});
  // @ts-expect-error: ids of messages are numbers
  client.subscribe('/a', () => {}, '5');
  // @ts-expect-error: the id is no option
  client.subscribe('/a', () => {}, { lastId: 5 });
  expectType<boolean>()(client.unsubscribe('/a', typed));
  expectType<boolean>()(client.unsubscribe('/a/*'));
  // @ts-expect-error: a callback, not a name
  client.unsubscribe('/a', 'func');

  expectType<ClientStatus>()(client.status());
  expectType<'started' | 'paused' | 'stopped'>()(client.status());
  expectType<ClientDiagnostics>()(client.diagnostics());
  expectType<Callback[]>()(client.callbacks);
  expectType<string>()(client.clientId);
  for (const each of [client.start(), client.stop(), client.pause(), client.resume()]) expectType<void>()(each);
  client.enableLongPolling = false;
  client.shouldLongPollCallback = () => true;
  client.shouldLongPollCallback = undefined;
  client.fetch = (url, init) => fetch(url, { ...init, credentials: 'include' });
  client.fetch = fetch;
  // @ts-expect-error: true or false
  client.alwaysLongPoll = 1;
  const settings: ClientSettings = client;
  settings.maxPollInterval = 1_000;

  // The global of the script
  expectType<PageBus>()(MessageBus);
  expectType<PageBus>()(pageBus);
  MessageBus.ajax = (options) => {
    expectType<Record<string, string>>()(options.headers);
    return { abort() {} };
  };
  MessageBus.ajax = undefined;
  // @ts-expect-error: a function
  MessageBus.ajax = 'jquery';
  MessageBus.subscribe('/a', () => {});
}

export async function caches(bus: Bus): Promise<void> {
  const cache = await DistributedCache.open(bus, 'animals');
  expectType<DistributedCache<CacheValue>>()(cache);
  expectType<CacheValue | undefined>()(cache.get('a'));
  expectType<void>()(await cache.set('a', { list: [1, new Set(['b']), new Map([[1, new Date()]])], none: undefined }));
  expectType<void>()(await cache.delete('a'));
  expectType<void>()(await cache.clear());
  expectType<void>()(await cache.close());
  // @ts-expect-error: delete() it
  await cache.set('a', undefined);
  // @ts-expect-error: JSON has none
  await cache.set('a', 1n);
  // @ts-expect-error: nor functions
  await cache.set('a', { a: () => {} });
  // @ts-expect-error: keys are strings
  await cache.set(1, 'a');
  // @ts-expect-error: which bus?
  await DistributedCache.open('animals');
  // @ts-expect-error: it begins with open()
  new DistributedCache(bus, 'animals');
  // @ts-expect-error: misspelt
  await DistributedCache.open(bus, 'animals', { app_version: '1' });

  interface Animal {
    legs: number;
    names?: Set<string>;
  }
  const options: DistributedCacheOptions = {
    siteId: 's',
    appVersion: '1',
    onError: (error) => bus.publish('/a', error),
  };
  const animals = await DistributedCache.open<Animal>(bus, 'animals', options);
  expectType<Animal | undefined>()(animals.get('frog'));
  expectType<Animal>()(await animals.getOrSet('frog', () => ({ legs: 4 })));
  expectType<Animal>()(await animals.getOrSet('frog', async (key) => ({ legs: key.length, names: new Set([key]) })));
  expectType<number>()(animals.size);
  const map: ReadonlyMap<string, Animal> = animals;
  expectType<[string, Animal][]>()([...map]);
  // @ts-expect-error: no animal
  await animals.set('frog', { wings: 2 });
  // @ts-expect-error: no animal
  await animals.getOrSet('frog', () => 4);
  // @ts-expect-error: the values of a cache are never undefined
  await DistributedCache.open<string | undefined>(bus, 'animals');
}

export function failures(error: unknown): void {
  if (!isPostbusError(error)) return;
  expectType<PostbusErrorCode>()(error.code);
  expectType<number | undefined>()(error.statusCode);
  // @ts-expect-error: codes begin with POSTBUS_
  error.code === 'ECONNREFUSED';
}

export async function codecs(): Promise<void> {
  const codec: Codec = { encode: (data) => expectType<unknown>()(data), decode: (json) => expectType<unknown>()(json) };
  createBus({ codec });
  // Those of libraries say more closely what they take.
  createBus({ codec: { encode: (data: bigint) => String(data), decode: (json: string) => BigInt(json) } });
  // @ts-expect-error: there is no use of one without the other
  createBus({ codec: { encode: String } });
  // @ts-expect-error: a function
  createBus({ codec: { encode: String, decode: 'json' } });
}
