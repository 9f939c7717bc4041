import { once } from 'node:events';
import net from 'node:net';
import type { FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const crowd = 500;

/** Connections that the server has accepted before anybody asks for anything. */
async function connect(t: Test, app: FastifyInstance, url: string, count: number) {
  let accepted = 0;
  app.server.on('connection', () => accepted++);
  const { hostname, port } = new URL(url);
  const sockets = Array.from({ length: count }, () =>
    net.connect({ host: hostname, port: Number(port), noDelay: true }),
  );
  t.teardown(() => sockets.forEach((socket) => void socket.destroy()));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  await until(() => accepted === count, 'all are accepted');
  return sockets;
}

function pollOf(client: string, body: string): string {
  return (
    `POST /message-bus/${client}/poll HTTP/1.1\r\nHost: test\r\nDont-Chunk: true\r\n` +
    `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  );
}

t.test('while a crowd polls, everything else in the process has its turn', async (t) => {
  const { url: database } = await createDatabase(t);
  const bus = openBus(t, database);
  let answered = 0;
  const { app, url } = await listen(t, { bus }, (app) => {
    app.addHook('onSend', (_request, _reply, payload, done) => {
      answered++;
      done(null, payload);
    });
  });
  await until(() => bus.isConnected, 'the bus is connected');
  await bus.publish('/a', 'news');
  // From here on, a poll is answered from memory.
  t.equal((await poll(url, { '/a': 0 })).messages.length, 1);

  const sockets = await connect(t, app, url, crowd);
  for (const [i, socket] of sockets.entries()) socket.write(pollOf(`c${i}`, '%2Fa=0'));
  answered = 0;
  let most = 0;
  for (let before = 0; answered < crowd; ) {
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, answered - before);
    before = answered;
  }
  t.ok(most < crowd / 3, `${most} polls were answered in one turn of the event loop`);
});

t.test('polls that wait for their turn end with the server, and with their clients', async (t) => {
  const { url: database } = await createDatabase(t);
  const bus = openBus(t, database);
  const { app, url } = await listen(t, { bus });
  await bus.publish('/a', 'news');
  t.equal((await poll(url, { '/a': 0 })).messages.length, 1);

  const sockets = await connect(t, app, url, crowd);
  const answers = sockets.map(() => '');
  for (const [i, socket] of sockets.entries()) {
    socket.on('data', (bytes) => {
      answers[i] += String(bytes);
    });
  }
  const rude = sockets.splice(-100);
  for (const [i, socket] of [...sockets, ...rude].entries()) socket.write(pollOf(`c${i}`, '%2Fa=1'));
  for (const socket of rude) socket.destroy();
  await until(() => internalsOf(bus).dispatcher.counts.cursors === sockets.length, 'those who have not hung up wait');
  await app.close();
  t.equal(internalsOf(bus).dispatcher.counts.cursors, 0);
  const polite = () => answers.slice(0, sockets.length);
  await until(() => polite().every((answer) => answer.endsWith('[]')), 'those have their answers');
  t.ok(polite().every((answer) => answer.startsWith('HTTP/1.1 200')));
});
