import t from 'tap';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { form, json, send } from '../helpers/http.js';
import { listen, poll } from '../helpers/server.js';

async function open(t: Parameters<typeof createDatabase>[0], options = {}) {
  const { url: database, query } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, { bus, ...options });
  return { bus, url, query };
}

const status = (data: Record<string, number>) => ({ global_id: -1, message_id: -1, channel: '/__status', data });

t.test('a poll that is not to wait', async (t) => {
  const { bus, url } = await open(t);
  for (const data of ['one', { two: [2] }, null]) await bus.publish('/a', data);
  await bus.publish('/b', 'four');
  const [one, two, three, four] = [
    { global_id: 1, message_id: 1, channel: '/a', data: 'one' },
    { global_id: 2, message_id: 2, channel: '/a', data: { two: [2] } },
    { global_id: 3, message_id: 3, channel: '/a', data: null },
    { global_id: 4, message_id: 1, channel: '/b', data: 'four' },
  ];
  const ask = async (channels: Record<string, unknown>) => (await poll(url, channels, { dlp: true })).messages;

  await t.test('gets what came after an id, and nothing else of a message than its four members', async (t) => {
    t.strictSame(await ask({ '/a': 0 }), [one, two, three]);
    t.strictSame(await ask({ '/a': 2 }), [three]);
    t.strictSame(await ask({ '/a': 3 }), []);
    t.strictSame(await ask({ '/a': '1' }), [two, three], 'the id as a string');
  });

  await t.test('gets several channels at once', async (t) => {
    const messages = await ask({ '/a': 2, '/b': 0, '/c': 0 });
    t.strictSame(
      messages.sort((a, b) => a.global_id - b.global_id),
      [three, four],
    );
  });

  await t.test('-1: the last id, at once', async (t) => {
    t.strictSame(await ask({ '/a': -1 }), [status({ '/a': 3 })]);
    t.strictSame(await ask({ '/a': -1, '/b': -1, '/never': -1 }), [status({ '/a': 3, '/b': 1, '/never': 0 })]);
  });

  await t.test('-2, -3 …: the last messages', async (t) => {
    t.strictSame(await ask({ '/a': -2 }), [three]);
    t.strictSame(await ask({ '/a': -3 }), [two, three]);
    t.strictSame(await ask({ '/a': -100 }), [one, two, three]);
    t.strictSame(await ask({ '/a': -9007199254740991 }), [one, two, three]);
    t.strictSame(await ask({ '/never': -2 }), []);
  });

  await t.test('an empty id or null: from now on, without a status', async (t) => {
    t.strictSame(await ask({ '/a': '' }), []);
    t.strictSame(await ask({ '/a': null }), []);
    t.equal((await send(`${url}/message-bus/x/poll?dlp=t`, { headers: form, body: '/a=&/b' })).text, '[]');
  });

  await t.test('an id beyond the last: put back to it', async (t) => {
    t.strictSame(await ask({ '/a': 4 }), [status({ '/a': 3 })]);
    t.strictSame(await ask({ '/never': 7 }), [status({ '/never': 0 })]);
    t.strictSame(await ask({ '/a': 9007199254740991, '/b': 0 }), [four, status({ '/a': 3 })]);
  });

  await t.test('a status comes after the messages: a client takes them in order', async (t) => {
    t.strictSame(await ask({ '/b': 0, '/a': -1 }), [four, status({ '/a': 3 })]);
  });

  await t.test('no channels', async (t) => t.strictSame(await ask({}), []));
});

t.test('the body may be a form or JSON', async (t) => {
  const { bus, url } = await open(t);
  await bus.publish('/ä & = +%/☺', 1);
  const message = '[{"global_id":1,"message_id":1,"channel":"/ä & = +%/☺","data":1}]';
  const name = encodeURIComponent('/ä & = +%/☺');
  const ask = (headers: Record<string, string>, body: string) =>
    send(`${url}/message-bus/x/poll?dlp=t`, { headers, body });
  t.equal((await ask(form, `${name}=0&__seq=1`)).text, message);
  t.equal((await ask(form, `__seq=1&${name.replaceAll('%20', '+')}=0`)).text, message);
  t.equal((await ask({ 'content-type': `${form['content-type']}; charset=UTF-8` }, `${name}=0`)).text, message);
  t.equal((await ask(json, '{"/ä & = +%/☺":0,"__seq":1}')).text, message);
  t.equal((await ask({ 'content-type': 'application/json;charset=utf-8' }, '{"/ä & = +%/☺":"0"}')).text, message);
  t.equal((await ask(json, '')).text, '[]');
  t.equal((await ask(form, '')).text, '[]');
  t.equal((await ask({}, '')).text, '[]', 'none at all');
});

t.test('the path', async (t) => {
  const { bus, url } = await open(t, { prefix: '/bus' });
  await bus.publish('/a', 1);
  const ask = (path: string, method = 'POST') =>
    send(`${url}${path}`, method === 'POST' ? { headers: json, body: '{"/a":0}' } : { method });

  for (const path of ['/x/poll?dlp=t', '/x?dlp=t', '/x/?dlp=t', '/x/poll/and/more?dlp=t', '/x%20y/poll?a=b&dlp=t']) {
    const { status, text } = await ask(`/bus/message-bus${path}`);
    t.equal(status, 200, path);
    t.match(text, /"\/a"/);
  }
  for (const path of ['', '/', '//poll', '?dlp=t']) {
    for (const method of ['POST', 'OPTIONS']) {
      const { status, text } = await ask(`/bus/message-bus${path}`, method);
      t.equal(status, 404, `${method} ${path}`);
      t.strictSame(JSON.parse(text), {
        statusCode: 404,
        code: 'POSTBUS_NO_CLIENT_ID',
        error: 'Not Found',
        message: 'The path has no client id: …/message-bus/{client id}/poll.',
      });
    }
  }
  t.equal((await ask('/message-bus/x/poll')).status, 404, 'only below the prefix');
  t.equal((await ask('/bus/message-bus/x/poll', 'GET')).status, 404);

  const options = await ask('/bus/message-bus/x/poll', 'OPTIONS');
  t.equal(options.status, 200);
  t.equal(options.text, '');
  t.match(options.headers, {
    'cache-control': 'must-revalidate, private, max-age=0',
    pragma: 'no-cache',
    expires: '0',
  });
});

t.test('a long client id', async (t) => {
  const { url } = await open(t);
  const ask = (clientId: string) => send(`${url}/message-bus/${clientId}/poll?dlp=t`, { headers: json, body: '{}' });
  t.equal((await ask('x'.repeat(255))).status, 200);
  const { status, text } = await ask('x'.repeat(256));
  t.equal(status, 400);
  t.equal(JSON.parse(text).code, 'POSTBUS_BAD_CLIENT_ID');
});

const noCache = { 'cache-control': 'must-revalidate, private, max-age=0', pragma: 'no-cache', expires: '0' };

t.test('headers of an answer in one piece', async (t) => {
  const { url } = await open(t, { longPollingInterval: 50 });
  for (const headers of [json, { ...json, 'dont-chunk': 'true' }]) {
    for (const query of ['?dlp=t', '']) {
      if (query === '' && !('dont-chunk' in headers)) continue;
      const answer = await send(`${url}/message-bus/x/poll${query}`, { headers, body: '{"/a":0}' });
      t.match(answer.headers, { ...noCache, 'content-type': 'application/json; charset=utf-8', 'content-length': '2' });
      t.equal(answer.text, '[]');
    }
  }
});

t.test('headers of a stream', async (t) => {
  const { url } = await open(t, { longPollingInterval: 50 });
  const answer = await send(`${url}/message-bus/x/poll`, { headers: json, body: '{"/a":0}' });
  t.match(answer.headers, {
    ...noCache,
    'content-type': 'text/plain; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'transfer-encoding': 'chunked',
  });
});
