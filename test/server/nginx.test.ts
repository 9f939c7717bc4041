import { connect } from 'node:net';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { json } from '../helpers/http.js';
import { startNginx, withoutNginx } from '../helpers/nginx.js';
import { PollingClient } from '../helpers/polling-client.js';
import { listen, poll, stream } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const skip = withoutNginx;

async function open(t: Test) {
  const { url: database } = await createDatabase(t);
  const bus = openBus(t, database);
  let connections = 0;
  const { url: upstream } = await listen(t, { bus }, (app) => {
    app.server.on('connection', () => connections++);
    app.get('/message-bus/host', (request) => `${request.headers.host} ${request.headers['x-forwarded-for']}`);
  });
  const url = await startNginx(t, upstream);
  const waiting = (count: number) =>
    until(() => internalsOf(bus).dispatcher.counts.cursors === count, `${count} polls wait`);
  return { bus, url, waiting, connections: () => connections };
}

t.test('streams come through as they are written', { skip }, async (t) => {
  const { bus, url } = await open(t);
  const frames = stream(url, { '/a': 0 });
  t.strictSame((await frames.next()).value, [], 'the first frame, when there is nothing yet');
  // Each is waited for before the next one is published: none could push another out of a buffer.
  for (const data of ['one', 'two', 'three']) {
    await bus.publish('/a', data);
    t.match((await frames.next()).value, [{ channel: '/a', data }]);
  }
  const large = 'x'.repeat(100_000);
  await bus.publish('/a', large);
  t.match((await frames.next()).value, [{ data: large }]);
  await frames.return();
});

t.test('polls share connections to the server, and see whom they come from', { skip }, async (t) => {
  const { bus, url, waiting, connections } = await open(t);
  for (let i = 1; i <= 30; i++) {
    await bus.publish('/a', i);
    t.equal((await poll(url, { '/a': i - 1 }, { dlp: i % 2 === 0 })).messages.length, 1);
  }
  t.ok(connections() <= 2, `${connections()} connections for 30 polls`);
  t.equal(await (await fetch(`${url}/message-bus/host`)).text(), `${new URL(url).host} 127.0.0.1`);

  const parked = poll(url, { '/a': 30 });
  await waiting(1);
  await bus.publish('/a', 'later');
  const { messages, headers } = await parked;
  t.match(messages, [{ message_id: 31, data: 'later' }]);
  t.equal(headers.get('content-encoding'), 'gzip', 'compressed, as all that this nginx sends');
});

t.test('a browser that hangs up is forgotten', { skip }, async (t) => {
  const { url, waiting } = await open(t);
  for (const isStreamed of [false, true]) {
    const hangUp = new AbortController();
    const { signal } = hangUp;
    const answer = isStreamed ? stream(url, { '/a': 0 }, { signal }).next() : poll(url, { '/a': 0 }, { signal });
    const done = answer.catch(() => {});
    await waiting(1);
    if (isStreamed) await done;
    hangUp.abort();
    await waiting(0);
    await done;
  }
});

t.test('a stream that is not read is cut off, and does not pile up in nginx', { skip }, async (t) => {
  const { bus, url, waiting } = await open(t);
  const { hostname, port } = new URL(url);
  const unread = connect(Number(port), hostname).on('error', () => {});
  t.teardown(() => unread.destroy());
  unread.pause();
  const body = '{"/a":0}';
  const head = `POST /message-bus/slow/poll HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
  unread.write(`${head}\r\n\r\n${body}`);
  await waiting(1);
  const data = 'x'.repeat(1_000_000);
  let published = 0;
  for (; internalsOf(bus).dispatcher.counts.cursors > 0 && published < 60; published++) await bus.publish('/a', data);
  t.ok(published < 60, `after ${published} MB`);
});

t.test('clients that poll in every way, and hang up at any moment, miss nothing', { skip }, async (t) => {
  const { bus, url } = await open(t);
  const clients = Array.from(
    { length: 8 },
    (_, i) =>
      new PollingClient({
        id: `client${i}`,
        urls: [url],
        channels: { '/a': 0 },
        modes: ['short', 'long', 'stream'],
        isRestless: true,
      }),
  );
  t.teardown(() => Promise.all(clients.map((client) => client.stop())));
  const ids: number[] = [];
  for (let i = 0; i < 150; i++) ids.push(await bus.publish('/a', i));
  for (const client of clients) {
    await until(() => client.position('/a') === ids.length, 'a client has caught up');
    t.strictSame(client.received.get('/a'), ids);
    t.strictSame(client.faults, []);
  }
});

t.test(
  'in front of a node for everybody, nginx refuses too many connections, slow and large bodies',
  { skip },
  async (t) => {
    const { url: database } = await createDatabase(t);
    const bus = openBus(t, database);
    let requests = 0;
    const { url: upstream } = await listen(t, { bus }, (app) => {
      app.server.on('request', () => requests++);
    });
    const url = await startNginx(t, upstream, {
      block: 1,
      edit: (lines) =>
        lines.replace('client_body_timeout 10s', 'client_body_timeout 1s').replace('connections 100', 'connections 3'),
    });
    const waiting = Array.from({ length: 3 }, (_, i) => poll(url, { '/a': 0 }, { client: `c${i}` }));
    await until(() => internalsOf(bus).dispatcher.counts.cursors === 3, 'three wait');
    const over = await fetch(`${url}/message-bus/over/poll`, { method: 'POST', headers: json, body: '{"/a":0}' });
    t.equal(over.status, 429);
    await bus.publish('/a', 1);
    for (const { messages } of await Promise.all(waiting)) t.match(messages, [{ data: 1 }]);

    const large = JSON.stringify({ '/a': 'x'.repeat(70_000) });
    t.equal((await fetch(`${url}/message-bus/large/poll`, { method: 'POST', headers: json, body: large })).status, 413);

    const { hostname, port } = new URL(url);
    const before = requests;
    const slow = connect(Number(port), hostname).on('error', () => {});
    t.teardown(() => slow.destroy());
    slow.write(
      'POST /message-bus/slow/poll HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{',
    );
    await new Promise((resolve) => slow.once('close', resolve).resume());
    t.equal(requests, before, 'the node never heard of the slow body');
  },
);

t.test('nginx refuses an address that polls without pause', { skip }, async (t) => {
  const { url: database } = await createDatabase(t);
  const { url: upstream } = await listen(t, { bus: openBus(t, database) });
  const url = await startNginx(t, upstream, { block: 1, edit: (lines) => lines.replace('burst=200', 'burst=5') });
  const statuses: number[] = [];
  while (!statuses.includes(429) && statuses.length < 500) {
    const answers = Array.from({ length: 20 }, (_, i) =>
      fetch(`${url}/message-bus/c${i}/poll?dlp=t`, { method: 'POST', headers: json, body: '{"/a":0}' }),
    );
    statuses.push(...(await Promise.all(answers)).map(({ status }) => status));
  }
  t.ok(statuses.includes(429));
  t.ok(statuses.includes(200));
});
