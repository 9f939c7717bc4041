import { connect } from 'node:net';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { form, json, send } from '../helpers/http.js';
import { listen } from '../helpers/server.js';
import { badNames } from './bad-names.js';

const { url: database } = await createDatabase(t);
const bus = openBus(t, database);
const { url } = await listen(t, { bus, bodyLimit: 2_000, maxChannels: 3 });
await bus.publish('/a', 'what no malformed poll may be given');

async function answered(t: Test, headers: Record<string, string>, body: string) {
  const answer = await send(`${url}/message-bus/x/poll?dlp=t`, { headers, body });
  t.match(JSON.parse(answer.text), [{ channel: '/a', message_id: 1 }], body.slice(0, 60));
}

async function refused(t: Test, status: number, code: string, headers: Record<string, string>, body: string | Buffer) {
  const answer = await send(`${url}/message-bus/x/poll`, { headers, body });
  const what = `${headers['content-type']} ${body.toString().slice(0, 60)}`;
  t.equal(answer.status, status, what);
  const { message, ...rest } = JSON.parse(answer.text);
  const error = { 400: 'Bad Request', 413: 'Payload Too Large', 415: 'Unsupported Media Type' }[status];
  t.strictSame(rest, { statusCode: status, code, error }, what);
  t.type(message, 'string');
  t.notMatch(answer.text, /select|node_modules|\.[jt]s:|given|function/, 'says nothing of what is inside');
  t.match(answer.headers, { 'content-type': /^application\/json/, 'cache-control': /private/ });
}

t.test('a __seq that is no number counts as 0, and the poll is answered', async (t) => {
  for (const id of [
    'abc',
    '1.5',
    '1e3',
    '0x10',
    '12345678901234567',
    '9007199254740992',
    '--1',
    '+1',
    ' ',
    'null',
    '١',
    '-',
  ])
    await answered(t, form, `/a=0&__seq=${encodeURIComponent(id)}`);
  for (const id of ['"abc"', '1.5', '1e400', '9007199254740992', 'true', '[]', '[0]', '{}', '{"a":1}', '" 1"'])
    await answered(t, json, `{"/a":0,"__seq":${id}}`);
  await answered(t, json, `{"/a":0,"__seq":${'['.repeat(900) + ']'.repeat(900)}}`);
});

t.test('polls of channels that are none', async (t) => {
  for (const name of badNames) {
    await refused(t, 400, 'POSTBUS_BAD_CHANNEL', form, `${encodeURIComponent(name)}=0&__b=0`);
    await refused(t, 400, 'POSTBUS_BAD_CHANNEL', json, `{${JSON.stringify(name)}:0,"__b":0}`);
  }
  await refused(t, 400, 'POSTBUS_BAD_CHANNEL', json, '{"/\\ud800":0}');
});

t.test('bodies that are none', async (t) => {
  const bodies = ['{', '"/a"', '[]', '[["/a",0]]', '0', 'null', '{"/a":0}}', "{'/a':0}", 'NaN', '\ufeff{"/a":0}'];
  for (const body of bodies) await refused(t, 400, 'POSTBUS_BAD_BODY', json, body);
  const deep = '['.repeat(900) + ']'.repeat(900);
  await refused(t, 400, 'POSTBUS_BAD_BODY', json, deep);
  for (const type of ['text/plain', 'multipart/form-data; boundary=x', 'application/xml', 'application/jsonp']) {
    await refused(t, 415, 'FST_ERR_CTP_INVALID_MEDIA_TYPE', { 'content-type': type }, '{"/a":0}');
  }
  await refused(t, 415, 'FST_ERR_CTP_INVALID_MEDIA_TYPE', {}, '{"/a":0}');
});

t.test('bytes that are no UTF-8', async (t) => {
  const bytes = Buffer.from('{"/a\xff":0}', 'latin1');
  await refused(t, 400, 'POSTBUS_BAD_BODY', json, bytes);
  await refused(t, 400, 'POSTBUS_BAD_BODY', { ...json, 'transfer-encoding': 'chunked' }, bytes);
  await refused(t, 400, 'POSTBUS_BAD_BODY', form, Buffer.from('/a\xc3=0', 'latin1'));
  for (const name of ['/a%FF', '/a%C3', '/%ED%A0%80', '/a%', '/%zz'])
    await refused(t, 400, 'POSTBUS_BAD_BODY', form, `${name}=0`);
});

t.test('bodies over the limit', async (t) => {
  const fits = `{"/a":-1}${' '.repeat(1_991)}`;
  t.equal((await send(`${url}/message-bus/x/poll?dlp=t`, { headers: json, body: fits })).status, 200);
  const large = `${fits} `;
  await refused(t, 413, 'FST_ERR_CTP_BODY_TOO_LARGE', json, large);
  await refused(t, 413, 'FST_ERR_CTP_BODY_TOO_LARGE', form, `/a=0&b=${'x'.repeat(2_000)}`);
  await refused(t, 413, 'FST_ERR_CTP_BODY_TOO_LARGE', { ...json, 'transfer-encoding': 'chunked' }, large);
});

t.test('paths and requests that are none', async (t) => {
  const answer = await send(`${url}/message-bus/%zz/poll`, { headers: json, body: '{"/a":0}' });
  t.equal(answer.status, 400);
  t.strictSame(Object.keys(JSON.parse(answer.text)).sort(), ['code', 'error', 'message', 'statusCode']);

  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.write(
    'POST /message-bus/x/poll HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: abc\r\n\r\n{}',
  );
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  t.match(text, /^HTTP\/1.1 400 /);
  t.notMatch(text, /\[/);
});

t.test('none of them left anything behind', (t) => {
  t.equal(internalsOf(bus).dispatcher.counts.cursors, 0);
  t.end();
});
