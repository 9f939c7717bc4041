import { connect } from 'node:net';
import t from 'tap';
import { createServer } from '../../src/server/create-server.js';
import { createDatabase } from '../helpers/database.js';
import { sendRaw } from '../helpers/raw-request.js';
import { until } from '../helpers/until.js';

const { url: connectionString } = await createDatabase(t);
const times = { head: 300, request: 700, check: 20 };
const app = await createServer({ connectionString, schema: 'message_bus', logLevel: 'silent' }, times);
t.teardown(() => app.close());
const url = await app.listen({ port: 0, host: '127.0.0.1' });

const head = 'POST /message-bus/c/poll HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';

for (const [title, bytes, after] of [
  ['nothing', '', times.head],
  ['half a head', head, times.head],
  ['a head without its body', `${head}content-length: 8\r\n\r\n`, times.request],
  ['half a body', `${head}content-length: 8\r\n\r\n{"/a"`, times.request],
  ['half a chunked body', `${head}transfer-encoding: chunked\r\n\r\n4\r\n{"/a`, times.request],
] as const) {
  t.test(`a client that sends ${title} is answered 408 with a code when its time is up`, async (t) => {
    const start = performance.now();
    const answer = await sendRaw(url, bytes);
    const waited = performance.now() - start;
    t.equal(answer.status, 408);
    t.match(answer.head, /content-type: application\/json/);
    t.match(answer.head, /x-content-type-options: nosniff/);
    t.match(JSON.parse(answer.body), {
      statusCode: 408,
      code: 'POSTBUS_SLOW_REQUEST',
      error: 'Request Timeout',
      message: String,
    });
    t.ok(waited >= after - 100, `not before: ${waited} ms`);
  });
}

t.test('the times that are meant are those that Node has', async (t) => {
  const app = await createServer({ connectionString, schema: 'message_bus', logLevel: 'silent' });
  t.teardown(() => app.close());
  t.equal(app.server.headersTimeout, 15_000);
  t.equal(app.server.requestTimeout, 30_000);
  t.match(app.server, { connectionsCheckingInterval: 1_000 });
});

t.test('what is no request is answered with a code, too', async (t) => {
  const bad = await sendRaw(url, 'HELLO\r\n\r\n');
  t.match([bad.status, JSON.parse(bad.body)], [400, { statusCode: 400, code: 'POSTBUS_BAD_REQUEST' }]);
  const large = await sendRaw(url, `${head}x: ${'x'.repeat(20_000)}\r\n\r\n`);
  t.match([large.status, JSON.parse(large.body)], [431, { statusCode: 431, code: 'POSTBUS_LARGE_HEAD' }]);
});

t.test(
  'what Node and Fastify would refuse themselves is answered like all else, with a code and nosniff',
  async (t) => {
    for (const [bytes, status, code] of [
      ['GET /health/live HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'POSTBUS_BAD_REQUEST'],
      ['GET /%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 400, 'FST_ERR_BAD_URL'],
      ['GET /nothing HTTP/1.1\r\nhost: x\r\nexpect: much\r\nconnection: close\r\n\r\n', 404, 'POSTBUS_NO_ROUTE'],
    ] as const) {
      const answer = await sendRaw(url, bytes);
      t.match([answer.status, JSON.parse(answer.body || '{}')], [status, { statusCode: status, code }], bytes);
      t.match(answer.head, /x-content-type-options: nosniff/, bytes);
    }
  },
);

t.test('nothing is written into a stream that has begun', async (t) => {
  const body = '{"/a":0}';
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  socket.on('error', () => {});
  socket.write(`${head}content-length: ${body.length}\r\n\r\n${body}`);
  await until(() => text.includes('[]'), 'the stream has begun');
  // Another request on the connection, which never ends.
  socket.write('POST /message-bus/d/poll HTTP/1.1\r\nhost: x\r\n');
  await until(() => socket.closed, 'its time is up');
  t.match(text, /^HTTP\/1\.1 200/);
  t.notMatch(text, /408|POSTBUS/);
});
