import Fastify, { type FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import postbus, { type PostbusOptions } from '../../src/fastify/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { createGrantee } from '../helpers/role.js';
import { listen, poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const isAdminLookup: PostbusOptions['isAdminLookup'] = ({ headers }) => headers.authorization === 'admin';
const path = '/message-bus/_diagnostics';
const asAdmin = { authorization: 'admin' };

async function openApp(
  t: Test,
  options: PostbusOptions,
  prepare: (app: FastifyInstance) => void = () => {},
): Promise<FastifyInstance> {
  const app = Fastify();
  prepare(app);
  await app.register(postbus, options);
  t.teardown(() => app.close());
  await app.ready();
  return app;
}

t.test('what an administrator sees', async (t) => {
  const { url: database } = await createDatabase(t);
  const bus = openBus(t, database, { keepaliveInterval: 400 });
  const other = openBus(t, database, { keepaliveInterval: 400 });
  await other.connect();
  const { url } = await listen(t, { bus, isAdminLookup, maxActiveClients: 10, prefix: '/bus' });
  await until(() => bus.isConnected, 'the bus listens');
  await bus.configure({ maxBacklogSize: 50, relay: true });
  for (let i = 0; i < 5; i++) await bus.publish('/busy', i);
  await other.publish('/short', 1, { maxBacklogSize: 1, siteId: 's' });
  await other.publish('/short', 2, { maxBacklogSize: 1, siteId: 's' });
  await bus.subscribe('/busy', () => {});
  await bus.subscribe(null, () => {});
  const polls = ['one', 'two'].map((client) => poll(`${url}/bus`, { '/busy': 5, '/quiet': 0 }, { client }));
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 6, 'all wait');

  const ask = async () => (await fetch(`${url}/bus${path}`, { headers: asAdmin })).json();
  await until(async () => {
    const { otherNodes, listener } = Object(await ask());
    return otherNodes.length === 1 && listener.heardItselfAt !== null;
  }, 'the nodes have heard of each other');
  const response = await fetch(`${url}/bus${path}`, { headers: asAdmin });
  t.equal(response.headers.get('cache-control'), 'no-store');
  const seen = Object(await response.json());
  const published = { total: 5, perSecond: Number };
  t.match(seen, {
    node: new RegExp(`/${process.pid}/`),
    uptime: Number,
    memory: Number,
    otherNodes: [{ node: new RegExp(`/${process.pid}/`), heardAt: /^\d{4}-.*Z$/ }],
    listener: { isOff: false, isConnected: true, connections: 1, keepaliveInterval: 400, heardItselfAt: /Z$/ },
    rates: { published, received: { total: 7, perSecond: Number } },
    channels: { followed: 2, waiting: 6 },
    backlogs: {
      lastGlobalId: 7,
      channels: 2,
      settings: { clearEvery: 100, maxBacklogSize: 50, maxGlobalBacklogSize: 2000, maxBacklogAge: 604800, relay: true },
    },
    clients: {
      waiting: 2,
      maxActiveClients: 10,
      waitingChannels: 4,
      maxWaitingChannels: 200_000,
      polls: { total: 2, perSecond: Number },
    },
  });
  t.ok(seen.rates.published.perSecond > 0);
  t.not(seen.node, seen.otherNodes[0].node);
  t.strictSame(seen.channels.busiest, [
    { siteId: null, channel: '/busy', lastId: 5, waiting: 3 },
    { siteId: null, channel: '/quiet', lastId: 0, waiting: 2 },
  ]);
  t.strictSame(seen.backlogs.largest, [
    { siteId: null, channel: '/busy', lastId: 5, messages: 5 },
    { siteId: 's', channel: '/short', lastId: 2, messages: 1 },
  ]);
  t.strictSame(Object.keys(await bus.diagnostics()), Object.keys(seen).slice(0, -1), 'the same in Node');
  await other.expireAllBacklogs();
  t.match(await bus.diagnostics(), { backlogs: { largest: [{ messages: 0 }, { messages: 0 }] } });
  await other.close();
  await until(async () => (await bus.diagnostics()).otherNodes.length === 0, 'who is gone is forgotten');
  for (const channel of ['/busy', '/quiet']) await bus.publish(channel, 'end');
  await Promise.all(polls);
});

t.test('for others, and without the lookup, there is nothing at the address', async (t) => {
  const bus = openBus(t, 'postgres://nobody@127.0.0.1:1/none');
  const extraResponseHeadersLookup = () => ({ 'x-extra': 'header' });
  const withHandler = (app: FastifyInstance) => {
    app.addHook('onRequest', async (_request, reply) => void reply.header('x-application', 'header'));
    app.setNotFoundHandler((_request, reply) => reply.code(404).header('x-own', 'yes').send('nothing here'));
  };
  const noHandler = () => {};
  for (const prepare of [noHandler, withHandler]) {
    for (const lookup of [isAdminLookup, async () => false, () => null, async () => undefined, undefined]) {
      const app = await openApp(t, { bus, extraResponseHeadersLookup, isAdminLookup: lookup }, prepare);
      const look = async (method: 'GET' | 'HEAD' | 'PUT', url: string) => {
        const { statusCode, headers, body } = await app.inject({ method, url });
        const { date: _, 'content-length': __, ...rest } = headers;
        return { statusCode, headers: rest, body: body.replace(url, 'URL') };
      };
      for (const method of ['GET', 'HEAD', 'PUT'] as const) {
        const absent = await look(method, '/message-bus/_elsewhere');
        t.equal(absent.statusCode, 404);
        t.strictSame(await look(method, path), absent, `${method}, ${lookup}`);
      }
    }
  }
});

t.test('it is the one address: nothing is served by a path', async (t) => {
  const bus = openBus(t, 'postgres://nobody@127.0.0.1:1/none');
  const app = await openApp(t, { bus, isAdminLookup });
  for (const rest of [
    '/',
    '/package.json',
    '/../package.json',
    '/%2e%2e/%2e%2e/package.json',
    '/hup',
    '.html',
    '%00',
  ]) {
    const { statusCode } = await app.inject({ method: 'GET', url: `${path}${rest}`, headers: asAdmin });
    t.ok(statusCode === 404 || statusCode === 400, `${rest}: ${statusCode}`);
  }
});

t.test('a lookup that fails or answers nonsense admits nobody', async (t) => {
  const bus = openBus(t, 'postgres://nobody@127.0.0.1:1/none');
  const failing: Record<string, () => unknown> = {
    throws: () => {
      throw new Error('on purpose');
    },
    rejects: () => Promise.reject(new Error('on purpose')),
    'answers 1': () => 1,
    'answers text': () => 'true',
    'answers a user': async () => ({ name: 'root' }),
  };
  for (const [what, lookup] of Object.entries(failing)) {
    // What only a program in JavaScript can get past the types.
    const options: PostbusOptions = Object.assign({ bus }, { ['isAdminLookup' as string]: lookup });
    const app = await openApp(t, options);
    const { statusCode, body } = await app.inject({ method: 'GET', url: path });
    t.equal(statusCode, 500, what);
    t.strictSame(Object.keys(JSON.parse(body)), ['statusCode', 'code', 'error', 'message']);
    t.match(JSON.parse(body), { code: 'POSTBUS_LOOKUP_FAILED' }, what);
    t.notMatch(body, /on purpose|listener/);
  }
});

t.test('a client may be called _diagnostics', async (t) => {
  const { url: database } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, { bus, isAdminLookup });
  await bus.publish('/a', 1);
  t.match((await poll(url, { '/a': 0 }, { client: '_diagnostics' })).messages, [{ data: 1 }]);
  const response = await fetch(`${url}${path}?dlp=t`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"/a":-1}',
  });
  t.match(await response.json(), [{ channel: '/__status', data: { '/a': 1 } }]);
});

t.test('it tells what it can where the database cannot be asked', async (t) => {
  const gone = openBus(t, 'postgres://nobody@127.0.0.1:1/none');
  t.match(await gone.diagnostics(), {
    listener: { isConnected: false, connections: 0, heardItselfAt: null },
    backlogs: { error: 'POSTBUS_NO_SERVER' },
  });
  const { url } = await createGrantee(t, ['node_state', 'read_channels']);
  const forbidden = openBus(t, url);
  t.match(await forbidden.diagnostics(), { backlogs: { error: 'POSTBUS_NO_PERMISSION' } });
});
