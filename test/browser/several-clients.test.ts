import { readdirSync, readFileSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import t from 'tap';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { ClientPage, clientNames } from '../helpers/pages/client-page.js';
import { publishOn, serveClient } from '../helpers/pages/served-client.js';
import { listen } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const browser = new TestBrowser(t);

const page = `<!doctype html><title>Clients</title><link rel="icon" href="data:,">
<script type="module">
  import { MessageBusClient } from './client/index.js';
  globalThis.clients = {};
  globalThis.received = {};
  globalThis.open = (name, settings) => {
    received[name] = [];
    clients[name] = new MessageBusClient({ headers: { 'X-User': name }, ...settings });
    clients[name].subscribe('/inbox', (data) => received[name].push(data), 0);
  };
</script>`;

/** The modules as they are in the package: browsers take them without a bundler. */
function serveModules(app: FastifyInstance): void {
  const folder = new URL('../../dist/client/', import.meta.url);
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.js'))) {
    app.get(`/client/${name}`, (_request, reply) =>
      reply.type('text/javascript').send(readFileSync(new URL(name, folder))),
    );
  }
  app.get('/clients.html', (_request, reply) => reply.type('text/html').send(page));
}

t.test('several clients in one page: users, servers and ends of their own', needsBrowser, async (t) => {
  const userIdLookup = (request: { headers: Record<string, unknown> }) => String(request.headers['x-user']);
  const { publish, context, url } = await serveClient(t, browser, { userIdLookup }, serveModules);
  // Another bus, behind the same origin.
  const other = await createDatabase(t);
  const publishOther = publishOn(other.query);
  await publishOther('/inbox', 'of the other bus');
  const elsewhere = await listen(t, { bus: openBus(t, other.url), userIdLookup }, (app) => {
    app.addHook('onRequest', async (request, reply) => {
      reply.headers({ 'access-control-allow-origin': url, 'access-control-allow-headers': 'X-User' });
      if (request.method === 'OPTIONS') return reply.send();
    });
  });

  const tab = await context.newPage();
  await tab.goto(`${url}/clients.html`);
  const received = (): Promise<Record<string, unknown[]>> => tab.evaluate('received');
  await tab.evaluate(
    ([ann, bob, eve]) => {
      for (const [name, settings] of [ann, bob, eve]) Reflect.get(globalThis, 'open')(name, settings);
    },
    [
      ['ann', {}],
      ['bob', { enableChunkedEncoding: false }],
      ['eve', { baseUrl: elsewhere.url }],
    ] as const,
  );
  await publish('/inbox', 'for ann', { userIds: ['ann'] });
  await publish('/inbox', 'for bob', { userIds: ['bob'] });
  await publish('/inbox', 'for all');
  await until(async () => Object.values(await received()).flat().length === 5, 'all is there');
  t.strictSame(await received(), {
    ann: ['for ann', 'for all'],
    bob: ['for bob', 'for all'],
    eve: ['of the other bus'],
  });

  await tab.evaluate(`clients.ann.stop(); clients.bob.pause()`);
  await publish('/inbox', 'late');
  await publishOther('/inbox', 'late');
  await until(async () => (await received()).eve?.length === 2, 'the one that runs goes on');
  t.strictSame(await tab.evaluate('Object.values(clients).map((client) => client.status())'), [
    'stopped',
    'paused',
    'started',
  ]);
  await tab.evaluate(`clients.ann.start(); clients.bob.resume()`);
  await until(async () => Object.values(await received()).flat().length === 8, 'the others catch up');
  t.strictSame(await received(), {
    ann: ['for ann', 'for all', 'late'],
    bob: ['for bob', 'for all', 'late'],
    eve: ['of the other bus', 'late'],
  });
});

for (const client of clientNames) {
  t.test(`${client}: calls work without their object, and as often as one likes`, needsBrowser, async (t) => {
    const { publish, context, url } = await serveClient(t, browser);
    const opened = await ClientPage.open(context, url, { client });
    const statuses = await opened.page.evaluate(() => {
      const { start, stop, pause, resume, status, subscribe, unsubscribe, diagnostics } = Reflect.get(
        globalThis,
        'MessageBus',
      );
      const seen: unknown[] = [];
      const note = () => seen.push(status());
      start();
      start();
      note();
      pause();
      note();
      resume();
      note();
      stop();
      stop();
      note();
      start();
      note();
      const got: unknown[] = [];
      const func = (data: unknown) => got.push(data);
      seen.push(subscribe('/a', func, 0) === func, subscribe('/b', func, 0) === func);
      seen.push(unsubscribe('/b', func), unsubscribe('/b', func));
      diagnostics();
      Object.assign(globalThis, { got });
      return seen;
    });
    t.strictSame(statuses, ['started', 'paused', 'started', 'stopped', 'started', true, true, true, false]);
    await publish('/b', 'not wanted');
    await publish('/a', 'wanted');
    await until(async () => (await opened.page.evaluate<unknown[]>('got')).length > 0, 'it has come');
    t.strictSame(await opened.page.evaluate('got'), ['wanted']);
  });
}
