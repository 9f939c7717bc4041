import http from 'node:http';
import { connect } from 'node:net';
import Fastify, { type FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import postbus from '../../src/fastify/index.js';
import { createServer } from '../../src/server/create-server.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { json, send } from '../helpers/http.js';
import { until } from '../helpers/until.js';

const { url: connectionString } = await createDatabase(t);

/** Polls in a tight loop on 40 connections until none can be had, while the application is closed. */
async function pollWhileClosing(t: Test, app: FastifyInstance): Promise<Map<string, number>> {
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  let taken = 0;
  app.server.on('request', () => taken++);
  const seen = new Map<string, number>();
  let answered = 0;
  let refused = 0;
  const loop = async (i: number) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const query = i % 3 === 0 ? '?dlp=t' : '';
    const headers = { ...json, ...(i % 2 === 0 ? { 'dont-chunk': 'true' } : {}) };
    for (;;) {
      const poll = send(`${url}/message-bus/c${i}/poll${query}`, { headers, body: '{"/a":0}', agent });
      const answer = await poll.catch(() => undefined);
      if (answer === undefined) break;
      answered++;
      const { status, text } = answer;
      const kind = status === 200 ? `200 ${text.replaceAll('\r\n|\r\n', '|')}` : `${status} ${JSON.parse(text).code}`;
      seen.set(kind, (seen.get(kind) ?? 0) + 1);
      if (status === 503) {
        t.equal(answer.headers.connection, 'close');
        t.match(JSON.parse(text), { statusCode: 503, error: 'Service Unavailable', message: String });
        t.equal(answer.headers['x-content-type-options'], 'nosniff');
      }
    }
    refused++;
    agent.destroy();
  };
  const loops = Array.from({ length: 40 }, (_, i) => loop(i));
  await until(() => taken > 500, 'all poll');
  await app.close();
  await Promise.all(loops);
  t.equal(refused, 40);
  t.equal(answered, taken, 'every request that was taken was answered');
  return seen;
}

const isProper = (kind: string) => /^200 (\[\]\|?)+$|^503 POSTBUS_STOPPING$/.test(kind);

t.test('polls sent while the server stops are answered, or refused with a code, or never taken', async (t) => {
  for (let round = 0; round < 3; round++) {
    const app = await createServer({ connectionString, schema: 'message_bus', logLevel: 'silent' });
    const seen = await pollWhileClosing(t, app);
    t.strictSame(
      [...seen.keys()].filter((kind) => !isProper(kind)),
      [],
    );
    t.comment(Object.fromEntries(seen));
  }
});

t.test('so are polls of an application with return503OnClosing: false', async (t) => {
  const app = Fastify({ return503OnClosing: false });
  await app.register(postbus, { bus: openBus(t, connectionString) });
  const seen = await pollWhileClosing(t, app);
  t.strictSame(
    [...seen.keys()].filter((kind) => !isProper(kind)),
    [],
  );
});

t.test('during a stop the server is alive but not ready', async (t) => {
  const app = await createServer({ connectionString, schema: 'message_bus', logLevel: 'silent' });
  const releases: (() => void)[] = [];
  // Its connections stay open: the stop waits for them.
  app.get('/slow', () => new Promise((resolve) => releases.push(() => resolve({}))));
  const port = Number(new URL(await app.listen({ port: 0, host: '127.0.0.1' })).port);
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
  const texts = ['', ''];
  const sockets = texts.map((_, i) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(get('/slow')));
    socket.setEncoding('utf8').on('data', (part: string) => {
      texts[i] += part;
    });
    return socket;
  });
  await until(() => releases.length === 2, 'the server has work to do');
  const closed = app.close();
  await until(() => !app.server.listening, 'it stops');
  sockets[0]?.write(get('/health/live'));
  sockets[1]?.write(get('/health/ready'));
  for (const release of releases) release();
  await closed;
  await until(() => sockets.every((socket) => socket.closed), 'both are answered');
  t.match(texts[0], /\{"status":"live"\}/);
  t.match(texts[1], /503 .*POSTBUS_STOPPING/s);
});
