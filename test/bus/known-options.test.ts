import { Writable } from 'node:stream';
import Fastify from 'fastify';
import t, { type Test } from 'tap';
import { MessageBusClient } from '../../src/client/index.js';
import { DistributedCache } from '../../src/distributed-cache/index.js';
import { startEmbeddedPostgres } from '../../src/embedded-postgres/index.js';
import postbus, { type PostbusOptions } from '../../src/fastify/index.js';
import { type BusOptions, createBus } from '../../src/index.js';
import { createMemoryBus } from '../../src/memory/index.js';
import { poll } from '../helpers/server.js';

// Nobody answers here: what is refused is refused before anything is sent.
const nowhere = 'postgres://nobody@127.0.0.1:1/nowhere';

/** What programs in JavaScript give, which the types would refuse. */
const untyped = <Options>(options: unknown): Options => options as Options;

function openBus(t: Test) {
  const bus = createBus({ connectionString: nowhere, logger: { warn: () => {}, error: () => {} } });
  t.teardown(() => bus.close());
  return bus;
}

t.test('a key of publish() that is not known never publishes to everyone', async (t) => {
  const bus = openBus(t);
  const targets = [
    'userId',
    'user_ids',
    'userIDs',
    'users',
    'groupId',
    'group_ids',
    'clientId',
    'client_ids',
    'recipients',
  ];
  for (const key of targets) {
    const message = new RegExp(`^${key}: is not known to publish\\(\\)`);
    await t.rejects(bus.publish('/a', 1, untyped({ [key]: [1] })), { code: 'POSTBUS_BAD_TARGETS', message }, key);
  }
  for (const key of ['site_id', 'ttl', 'max_backlog_size', '__proto', 'constructor', 'lastId']) {
    await t.rejects(bus.publish('/a', 1, untyped({ [key]: 1 })), { code: 'POSTBUS_BAD_OPTION' }, key);
  }
  await t.rejects(bus.publish('/a', 1, untyped({ userIds: [1], userId: undefined })), { code: 'POSTBUS_BAD_TARGETS' });
  await t.rejects(
    bus.publish('/a', 1, untyped(Object.create({ userId: 1 }))),
    { code: 'POSTBUS_BAD_TARGETS' },
    'inherited',
  );
});

t.test('what is no options object never publishes to everyone', async (t) => {
  const bus = openBus(t);
  const given = [
    null,
    '7',
    7,
    true,
    [7],
    new Map([['userIds', [7]]]),
    Promise.resolve({ userIds: [7] }),
    () => {},
    new Date(),
  ];
  for (const options of given) {
    await t.rejects(bus.publish('/a', 1, untyped(options)), { code: 'POSTBUS_BAD_OPTION' }, String(options));
  }
});

t.test('targets that a class or a prototype holds count in publish() and publishMany()', async (t) => {
  class Targets {
    channel = '/a';
    data = 1;
    get userIds() {
      return [7];
    }
  }
  const bus = createMemoryBus();
  t.teardown(() => bus.close());
  const messages = [new Targets(), Object.assign(Object.create({ userIds: [7] }), { channel: '/a', data: 1 })];
  await bus.publishMany(messages);
  await bus.publishMany([{ channel: '/s', data: 1 }], Object.create({ siteId: 's' }));
  await bus.publish('/a', 1, Object.create({ userIds: [7] }));
  for (const message of await bus.backlog('/a')) t.strictSame(message.userIds, ['7']);
  t.strictSame(await bus.lastIds(['/a', '/s']), [3, 0]);
});

t.test('a getter of a class that is not known never publishes to everyone', async (t) => {
  const bus = openBus(t);
  class Base {
    get userId() {
      return [7];
    }
  }
  class Targets extends Base {
    channel = '/a';
    data = 1;
    toJSON() {}
  }
  await t.rejects(bus.publish('/a', 1, untyped(new Base())), { code: 'POSTBUS_BAD_TARGETS', message: /^userId: / });
  await t.rejects(bus.publishMany([new Targets()]), { code: 'POSTBUS_BAD_TARGETS', message: /^userId: / });
});

t.test('holes in lists, and what is no list, are told of by the name of the argument', async (t) => {
  const bus = openBus(t);
  const bad = { code: 'POSTBUS_BAD_OPTION' };
  // biome-ignore lint/suspicious/noSparseArray: that is what is tested
  await t.rejects(bus.publishMany(untyped([, { channel: '/a', data: 1 }])), bad);
  // biome-ignore lint/suspicious/noSparseArray: that is what is tested
  await t.rejects(bus.publish('/a', 1, { userIds: untyped([1, , 2]) }), { code: 'POSTBUS_BAD_TARGETS' });
  for (const channels of ['/a', undefined, new Set(['/a'])]) {
    await t.rejects(bus.lastIds(untyped(channels)), { ...bad, message: /^channels: / });
  }
});

t.test('a site is refused where the channels of all sites are asked for', async (t) => {
  const bus = openBus(t);
  const refused = { code: 'POSTBUS_BAD_OPTION', message: /^siteId: makes no sense without a channel/ };
  await t.rejects(
    bus.subscribe(null, () => {}, { siteId: 's' }),
    refused,
  );
  await t.rejects(
    bus.unsubscribe(null, () => {}, { siteId: 's' }),
    refused,
  );
});

t.test('options with a prototype of their own or none, and an extended Object.prototype, are taken', async (t) => {
  const bus = openBus(t);
  class Targets {
    userIds = [7];
  }
  Object.defineProperty(Object.prototype, 'userIdsOf', { value: 1, enumerable: true, configurable: true });
  t.teardown(() => Reflect.deleteProperty(Object.prototype, 'userIdsOf'));
  for (const options of [
    new Targets(),
    Object.assign(Object.create(null), { userIds: [7] }),
    Object.create({ userIds: [7] }),
  ]) {
    await t.rejects(bus.publish('/a', 1, options), { code: 'POSTBUS_NO_SERVER' });
  }
});

t.test('every function of a bus refuses options that it does not know', async (t) => {
  const bus = openBus(t);
  const callback = () => {};
  const bad = { code: 'POSTBUS_BAD_OPTION', message: /site_id: is not known/ };
  const options = untyped<object>({ site_id: 's' });
  await t.rejects(bus.subscribe('/a', callback, options), bad);
  await t.rejects(bus.subscribe(null, callback, options), bad);
  await t.rejects(bus.unsubscribe('/a', callback, options), bad);
  await t.rejects(bus.unsubscribe(null, callback, options), bad);
  await t.rejects(bus.backlog('/a', 0, options), bad);
  await t.rejects(bus.lastId('/a', options), bad);
  await t.rejects(bus.lastIds(['/a'], options), bad);
  await t.rejects(bus.lastIds([], options), bad);
  await t.rejects(bus.lastMessage('/a', options), bad);
  await t.rejects(bus.getMessage('/a', 1, options), bad);
  await t.rejects(bus.configure(untyped({ max_backlog_size: 5 })), {
    code: 'POSTBUS_BAD_OPTION',
    message: /maxBacklogSize/,
  });
  await t.rejects(bus.configure(untyped(undefined)), { code: 'POSTBUS_BAD_OPTION' });
  t.throws(() => bus.off(untyped({ disablePublishing: false })), { code: 'POSTBUS_BAD_OPTION' });
  t.throws(() => bus.off(untyped({ disablePublish: 'no' })), { code: 'POSTBUS_BAD_OPTION' });
  t.notOk(bus.isOff, 'a call that is refused does not turn it off');
  await t.rejects(DistributedCache.open(bus, 'a', untyped({ siteID: 's' })), { code: 'POSTBUS_BAD_OPTION' });
});

t.test('what creates a bus, a client or a server refuses options that it does not know', async (t) => {
  const bad = { code: 'POSTBUS_BAD_OPTION' };
  t.throws(() => createBus(untyped({ connectionstring: nowhere })), bad);
  t.throws(() => createBus(untyped({ connectionString: nowhere, schemaName: 'a' })), bad);
  t.throws(() => createMemoryBus(untyped({ connectionString: nowhere })), bad);
  t.throws(() => createMemoryBus(untyped({ pgLite: {} })), bad);
  await t.rejects(startEmbeddedPostgres(untyped({ dir: '/nowhere' })), bad);
  t.throws(() => new MessageBusClient(untyped({ baseURL: '/' })), { message: /no setting baseURL/ });
  t.throws(() => new MessageBusClient(untyped({ subscribe: () => {} })), { message: /no setting subscribe/ });
});

t.test('createBus() says what is wrong with a connection string that is no option or undefined', async (t) => {
  const says = (message: RegExp) => ({ code: 'POSTBUS_BAD_OPTION', message });
  t.throws(() => createBus(untyped(nowhere)), says(/createBus\(\{ connectionString: /));
  t.throws(() => createBus(untyped(new URL(nowhere))), says(/connectionString/));
  t.throws(() => createBus(untyped(null)), says(/connectionString/));
  t.throws(() => createBus({ connectionString: undefined }), says(/^connectionString: is undefined.*DATABASE_URL/));
  t.throws(() => createBus(untyped({ connectionString: null })), says(/^connectionString: /));
  t.throws(() => createBus({ connectionString: '' }), says(/^connectionString: /));
  t.throws(() => createBus({ pool: undefined }), says(/^pool: is undefined/));
  t.throws(() => createBus(untyped({ pool: Promise.resolve() })), says(/^pool: must be a pool/));
  const options: BusOptions = { connectionString: nowhere, pool: undefined, listenConnectionString: undefined };
  await createBus(options).close();
  await createBus().close();
});

t.test('options of the wrong type are refused by name when the bus is created, not when they are needed', async (t) => {
  const wrong: Record<string, unknown[]> = {
    schema: [5, {}, []],
    logger: ['info', {}, false, 5, () => {}, { warn: () => {} }],
    schemas: [[], new Map([['/a', 1]])],
    connectionString: [
      'localhost',
      'localhost:5432',
      'mydb',
      'http://a/b',
      'mysql://a/b',
      'postgres//a',
      'host=a dbname=b',
    ],
    listenConnectionString: ['localhost', 'host=a dbname=b'],
  };
  for (const [key, values] of Object.entries(wrong)) {
    const refused = { code: 'POSTBUS_BAD_OPTION', message: new RegExp(`^${key}: `) };
    for (const value of values) {
      t.throws(() => createBus(untyped({ connectionString: nowhere, [key]: value })), refused, `${key}: ${value}`);
    }
  }
  for (const connectionString of ['postgresql://a/b', '/run/postgresql mydb', 'socket:/run/postgresql?db=mydb']) {
    await createBus({ connectionString }).close();
  }
  for (const pglite of [null, 5, {}, Promise.resolve()]) {
    t.throws(() => createMemoryBus(untyped({ pglite })), { code: 'POSTBUS_BAD_OPTION', message: /^pglite: / });
  }
  for (const bus of [null, undefined, {}]) {
    await t.rejects(DistributedCache.open(untyped(bus), 'a'), { code: 'POSTBUS_BAD_OPTION', message: /^bus: / });
  }
});

t.test('the plugin refuses options that it does not know, and lookups that are no functions', async (t) => {
  const bus = openBus(t);
  const wrong = [
    { siteIDLookup: () => 's' },
    { userIDLookup: () => 7 },
    { siteIdLookup: 's' },
    { userIdLookup: null },
    { longPollingEnabled: 'no' },
  ];
  for (const options of wrong) {
    const app = Fastify();
    app.register(postbus, untyped<PostbusOptions>({ bus, ...options }));
    await t.rejects(async () => app.ready(), {
      code: 'POSTBUS_BAD_OPTION',
      message: new RegExp(`^${Object.keys(options)[0]}: `),
    });
    await app.close();
  }
});

t.test("the plugin's logLevel and logSerializers count for its routes alone", async (t) => {
  const bus = openBus(t);
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  const app = Fastify({ logger: { level: 'info', stream } });
  await app.register(postbus, {
    bus,
    logLevel: 'warn',
    logSerializers: { seen: () => 'serialized' },
    userIdLookup: (request) => {
      request.log.info('quiet');
      request.log.warn({ seen: 'raw' }, 'loud');
      return 7;
    },
  });
  app.get('/', async () => 'ok');
  t.teardown(() => app.close());
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  lines.length = 0;
  await poll(url, {}, { dlp: true });
  t.equal(lines.length, 1);
  t.match(lines[0], '"seen":"serialized"');
  t.match(lines[0], '"msg":"loud"');
  await fetch(url);
  t.match(lines.join(''), 'incoming request');
});
