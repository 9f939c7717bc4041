import { once } from 'node:events';
import net from 'node:net';
import t, { type Test } from 'tap';
import { startServer } from '../helpers/command.js';
import { createDatabase } from '../helpers/database.js';
import { form, send } from '../helpers/http.js';
import { poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

/** Connections that each ask for `channels` channels that nobody else knows; none waits for an answer. */
async function flood(t: Test, url: string, connections: number, channels: number) {
  const { hostname, port } = new URL(url);
  const statuses: string[] = [];
  const sockets = Array.from({ length: connections }, () => net.connect(Number(port), hostname));
  t.teardown(() => sockets.forEach((socket) => void socket.destroy()));
  for (const [i, socket] of sockets.entries()) {
    socket.on('error', () => {});
    socket.once('data', (bytes) => statuses.push(String(bytes).slice(9, 12)));
    await once(socket, 'connect');
    const body = Array.from({ length: channels }, (_, k) => `%2Funknown-${i}-${k}=0`).join('&');
    socket.write(
      `POST /message-bus/flood${i}/poll HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${form['content-type']}\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
  }
  return { sockets, statuses };
}

t.test(
  'a server with a small heap survives polls for more channels than fit in it, and serves the others',
  async (t) => {
    const { url: database, query } = await createDatabase(t);
    const server = await startServer(t, ['--max-waiting-channels', '10000'], {
      env: { DATABASE_URL: database, NODE_OPTIONS: '--max-old-space-size=96' },
    });
    const { url } = server;
    const publish = (data: string) => query(`select message_bus.publish('/news', to_jsonb($1::text))`, [data]);
    await publish('first');
    const parked = poll(url, { '/news': 1 }, { client: 'honest' });

    // 70,000 channels: as cursors and feeds that are being read, nearly twice the heap.
    const { sockets, statuses } = await flood(t, url, 350, 200);
    await until(() => statuses.length > 100, 'the first are answered', 30_000);
    await publish('second');
    t.match((await parked).messages, [{ data: 'second' }], 'a poll that waited before is answered');
    await until(
      async () => (await poll(url, { '/news': 0 }, { client: 'newcomer', dlp: true })).messages.length === 2,
      'a newcomer is answered',
      30_000,
    );
    await until(() => statuses.length === sockets.length, 'all are answered', 60_000);
    t.strictSame([...new Set(statuses)].sort(), ['200', '503']);
    t.ok(statuses.filter((status) => status === '200').length > 50, 'those that fit in the limit are streams');

    for (const socket of sockets) socket.destroy();
    const next = await flood(t, url, 50, 200);
    await until(() => next.statuses.length === 50, 'there is room again', 30_000);
    t.strictSame([...new Set(next.statuses)], ['200']);
    t.equal(server.child.exitCode, null);
  },
);

t.test('the limits of postbus serve are options and variables', async (t) => {
  const { url: database } = await createDatabase(t);
  const env = { DATABASE_URL: database };
  const polled = (url: string, body: string) =>
    send(`${url}/message-bus/c/poll?dlp=t`, { headers: form, body }).then(({ status, text }) => [
      status,
      JSON.parse(text).code ?? JSON.parse(text).at(-1).data,
    ]);
  const byOption = await startServer(t, ['--max-channels', '1', '--body-limit', '20'], { env });
  t.strictSame(await polled(byOption.url, '/a=0&/b=0'), [200, { '/b': 'too_many' }]);
  t.strictSame(await polled(byOption.url, `/${'a'.repeat(20)}=0`), [413, 'FST_ERR_CTP_BODY_TOO_LARGE']);
  const byVariable = await startServer(t, ['--max-waiting-channels', '2'], { env: { ...env, MAX_CHANNELS: '3' } });
  t.strictSame(await polled(byVariable.url, '/a=0&/b=0&/c=0&/d=0'), [200, { '/d': 'too_many' }]);
  t.equal((await poll(byVariable.url, { '/a': 0, '/b': 0, '/c': 0 })).text, '[]', 'answered at once, it cannot wait');
  const none = await startServer(t, [], { env: { ...env, MAX_ACTIVE_CLIENTS: '0' } });
  t.equal((await poll(none.url, { '/a': 0 })).text, '[]');
});
