import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { HttpServer } from '../../src/server/http-server.js';
import { createDatabase } from '../helpers/database.js';

t.test('a stop waits for requests that come in, not for connections on which nothing was ever asked', async (t) => {
  const { url: connectionString } = await createDatabase(t);
  const options = { connectionString, schema: 'message_bus', logLevel: 'silent' };
  const server = new HttpServer(options, { host: '127.0.0.1', port: 0 });
  const port = await server.start();
  const ended: string[] = [];
  const open = async (name: string) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {}).on('close', () => ended.push(name));
    await once(socket, 'connect');
    return socket;
  };
  const asking = await open('asking');
  asking.write('GET /health/live HTTP/1.1\r\nhost: x\r\n');
  const silent = await open('silent');
  const silence = once(silent, 'close');
  // Answered after both have been taken.
  t.equal((await fetch(`http://127.0.0.1:${port}/health/live`)).status, 200);
  const closed = server.close();
  await silence;
  t.strictSame(ended, ['silent']);
  asking.write('\r\n');
  const [answer] = await once(asking, 'data');
  t.match(String(answer), /^HTTP\/1.1 (200|503)/, 'it is answered');
  await closed;
});
