import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { ConnectedClient, PostbusOptions } from '../../src/fastify/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listenAndLog } from '../helpers/logging-server.js';
import { poll, stream } from '../helpers/server.js';
import { until } from '../helpers/until.js';

async function open(t: Test, hooks: Partial<PostbusOptions>) {
  const { url: database } = await createDatabase(t);
  const bus = openBus(t, database);
  const server = await listenAndLog(t, {
    bus,
    userIdLookup: ({ headers }) => headers['x-user']?.toString(),
    groupIdsLookup: () => [7],
    siteIdLookup: ({ headers }) => headers['x-site']?.toString(),
    ...hooks,
  });
  await until(() => bus.isConnected, 'the bus listens');
  return { bus, ...server };
}

function recorder() {
  const calls: string[] = [];
  const clients: ConnectedClient[] = [];
  const hooks: Partial<PostbusOptions> = {
    onConnect: (client) => {
      clients.push(client);
      calls.push(`+${client.clientId}`);
    },
    onDisconnect: (client, request) => calls.push(`-${client.clientId} ${request.method}`),
  };
  return { calls, clients, hooks };
}

t.test('who waits is told when it begins and when it ends, whatever ends it', async (t) => {
  const { calls, clients, hooks } = recorder();
  const { bus, url } = await open(t, { ...hooks, longPollingInterval: 300 });
  const waits = (client: string) => until(() => calls.includes(`+${client}`), `${client} waits`);
  const gone = (client: string) => until(() => calls.includes(`-${client} POST`), `${client} no longer does`);

  const answered = poll(url, { '/a': 0 }, { client: 'answered', headers: { 'x-user': '3', 'x-site': 's' } });
  await waits('answered');
  await bus.publish('/a', 1, { siteId: 's' });
  await answered;
  await gone('answered');
  t.strictSame(clients[0], { clientId: 'answered', userId: '3', groupIds: ['7'], siteId: 's' });

  await poll(url, { '/b': 0 }, { client: 'in vain' });
  await gone('in vain');
  t.strictSame(clients[1], { clientId: 'in vain', userId: null, groupIds: ['7'], siteId: null });

  const hangUp = new AbortController();
  const left = poll(url, { '/b': 0 }, { client: 'left', signal: hangUp.signal });
  await waits('left');
  hangUp.abort();
  await t.rejects(left);
  await gone('left');

  const frames = stream(url, { '/b': 0 }, { client: 'stream' });
  await frames.next();
  await waits('stream');
  t.notOk(calls.includes('-stream POST'));
  await gone('stream');
  await frames.return();

  const older = poll(url, { '/b': 0, __seq: 1 }, { client: 'tab' });
  await waits('tab');
  const newer = poll(url, { '/b': 0, __seq: 2 }, { client: 'tab' });
  await older;
  await until(() => calls.filter((call) => call === '+tab').length === 2, 'the newer one waits');
  await newer;
  await until(() => calls.filter((call) => call === '-tab POST').length === 2, 'both have ended');

  const before = calls.length;
  await poll(url, { '/b': 0 }, { client: 'short', dlp: true });
  await poll(url, { '/b': -1 }, { client: 'status' });
  await poll(url, { b: -1 }, { client: 'bad' });
  const heard: unknown[] = [];
  await bus.subscribe('/b', ({ data }) => heard.push(data));
  await bus.publish('/b', 1);
  await until(() => heard.length === 1, 'the process has heard of it');
  await poll(url, { '/b': 0 }, { client: 'backlog' });
  t.strictSame(calls.slice(before), [], 'polls that are answered at once did not wait');
  for (const client of new Set(clients.map(({ clientId }) => clientId))) {
    const of = calls.filter((call) => call.slice(1).split(' ')[0] === client).map(([sign]) => sign);
    t.equal(of.filter((sign) => sign === '+').length, of.filter((sign) => sign === '-').length, `${client}: in pairs`);
  }
});

t.test('closing the application ends those who wait', async (t) => {
  const { calls, hooks } = recorder();
  const { app, url } = await open(t, hooks);
  const polls = ['one', 'two', 'three'].map((client) => poll(url, { '/a': 0 }, { client }));
  await until(() => calls.length === 3, 'they wait');
  await app.close();
  for (const { messages } of await Promise.all(polls)) t.strictSame(messages, []);
  await until(() => calls.length === 6, 'all were told of');
});

t.test('onDisconnect comes after an onConnect that takes its time', async (t) => {
  const calls: string[] = [];
  const { bus, url } = await open(t, {
    onConnect: async () => {
      calls.push('connecting');
      await delay(50);
      calls.push('connected');
    },
    onDisconnect: () => void calls.push('disconnected'),
  });
  const parked = poll(url, { '/a': 0 });
  await until(() => calls.length === 1, 'it waits');
  await bus.publish('/a', 1);
  t.match((await parked).messages, [{ data: 1 }], 'no poll waits for it');
  await until(() => calls.length === 3, 'both were called');
  t.strictSame(calls, ['connecting', 'connected', 'disconnected']);
});

const fail = () => {
  throw new Error('on purpose');
};
for (const [what, hook] of [
  ['throw', fail],
  ['reject', async () => fail()],
] as const) {
  t.test(`hooks that ${what} are logged and harm no poll`, async (t) => {
    const { bus, url, logged } = await open(t, { onConnect: hook, onDisconnect: hook });
    const parked = poll(url, { '/a': 0 });
    const frames = stream(url, { '/a': 0 }, { client: 'stream' });
    await frames.next();
    await until(() => logged.length === 2, 'both wait');
    await bus.publish('/a', 1);
    t.match((await parked).messages, [{ data: 1 }]);
    t.match((await frames.next()).value, [{ data: 1 }]);
    await frames.return();
    await until(() => logged.length === 4, 'all are logged');
    t.strictSame(logged.map(({ msg }) => msg).sort(), [
      'onConnect failed',
      'onConnect failed',
      'onDisconnect failed',
      'onDisconnect failed',
    ]);
  });
}
