import { once } from 'node:events';
import { connect } from 'node:net';
import t, { type Test } from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import type { PostbusOptions } from '../../src/fastify/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listen, poll, stream, type WireMessage } from '../helpers/server.js';
import { until } from '../helpers/until.js';

const large = 'x'.repeat(300_000);
const json = { 'content-type': 'application/json' };
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function open(t: Test, options: Omit<PostbusOptions, 'bus'> = {}) {
  const { url: database } = await createDatabase(t);
  const bus = openBus(t, database);
  const { app, url } = await listen(t, {
    bus,
    userIdLookup: ({ headers }) => headers['x-user']?.toString(),
    ...options,
  });
  await until(() => bus.isConnected, 'the bus listens');
  const publishLarge = async (channel: string, count: number, targets = {}) => {
    for (let i = 0; i < count; i++) await bus.publish(channel, large, targets);
  };
  return { app, bus, url, publishLarge };
}

type Frames = AsyncGenerator<WireMessage[], void>;

/** The frames up to the one with the message that is looked for. */
async function framesUntil(frames: Frames, isLast: (message: WireMessage) => boolean): Promise<WireMessage[][]> {
  const read: WireMessage[][] = [];
  for (;;) {
    const { value } = await frames.next();
    if (!value) throw new Error('the stream ended');
    read.push(value);
    if (value.some(isLast)) return read;
  }
}

const isAt = (channel: string, id: number) => (message: WireMessage) =>
  message.channel === channel && message.message_id === id;
const idsIn = (frames: WireMessage[][], channel: string) =>
  frames.flatMap((frame) => frame.filter((each) => each.channel === channel).map((each) => each.message_id));

t.test('a stream brings each page of a long backlog, then what comes live', async (t) => {
  const { bus, url, publishLarge } = await open(t);
  await publishLarge('/a', 9);
  // From the tables, then from memory.
  for (const round of [0, 1]) {
    const frames = stream(url, { '/a': 0, '/quiet': 0 });
    const pages = await framesUntil(frames, isAt('/a', 9 + round));
    t.ok(pages.length >= 3, `${pages.length} frames`);
    t.strictSame(idsIn(pages, '/a'), range(1, 9 + round));
    await bus.publish('/a', 'live');
    t.strictSame(
      idsIn(await framesUntil(frames, isAt('/a', 10 + round)), '/a'),
      [10 + round],
      'the same stream goes on',
    );
    await frames.return();
  }
});

t.test('a streamed answer longer than a page is text with separators, whatever it is made of', async (t) => {
  const { bus, url, publishLarge } = await open(t, { longPollingInterval: 300 });
  await bus.configure({ maxDataSize: 4_000_000 });
  await publishLarge('/many', 5);
  await bus.publish('/one', 'x'.repeat(3_000_000));
  for (let i = 0; i < 8; i++) await publishLarge(`/room/${i}`, 1);
  const rooms = Object.fromEntries(range(0, 7).map((i) => [`/room/${i}`, 0]));
  for (const [what, channels, count] of [
    ['many messages', { '/many': 0 }, 5],
    ['one message', { '/one': 0 }, 1],
    ['many channels', rooms, 8],
    ['the last three', { '/many': -4 }, 3],
    ['long and short channels', { '/many': 0, '/one': 0, '/quiet': -1, ...rooms }, 14],
  ] as const) {
    const answer = await fetch(`${url}/message-bus/s/poll`, {
      method: 'POST',
      headers: json,
      body: JSON.stringify(channels),
    });
    t.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8', what);
    const frames = (await answer.text()).split('\r\n|\r\n');
    t.equal(frames.pop(), '', 'ends with a separator');
    t.equal(frames.pop(), '[]', 'ends at the interval');
    const messages: WireMessage[] = frames.flatMap((frame) => JSON.parse(frame));
    t.equal(messages.filter(({ channel }) => channel !== '/__status').length, count, what);
    t.equal(new Set(messages.map((each) => each.global_id)).size, messages.length, 'none twice');
    const statuses = messages.filter(({ channel }) => channel === '/__status').map(({ data }) => data);
    if ('/quiet' in channels) t.strictSame(statuses, [{ '/quiet': 0 }]);
  }
});

t.test('messages for others are left out of all pages, and the client is moved on past them', async (t) => {
  const { bus, url, publishLarge } = await open(t);
  for (let i = 0; i < 4; i++) {
    await publishLarge('/a', 2, { userIds: ['ann'] });
    await publishLarge('/a', 1, { userIds: ['bob'] });
  }
  const ann = stream(url, { '/a': 0 }, { headers: { 'x-user': 'ann' } });
  const pages = await framesUntil(ann, ({ channel, data }) => channel === '/__status' && Object(data)['/a'] === 12);
  t.strictSame(idsIn(pages, '/a'), [1, 2, 4, 5, 7, 8, 10, 11]);
  await bus.publish('/a', 'for all');
  t.strictSame(idsIn([(await ann.next()).value ?? []], '/a'), [13]);
  await ann.return();
});

t.test('what is published between the pages of a stream comes once, in order', async (t) => {
  const { bus, url, publishLarge } = await open(t);
  await publishLarge('/a', 8);
  await bus.publish('/b', 1);
  const frames = stream(url, { '/a': 0, '/b': 0 });
  const read: WireMessage[][] = [];
  for (let n = 2; n <= 40; n++) {
    if (n % 4 === 0) read.push((await frames.next()).value ?? []);
    await bus.publish('/b', n);
    if (n % 5 === 0) await publishLarge('/a', 1);
  }
  const isLast = (message: WireMessage) => isAt('/a', 16)(message);
  read.push(...(await framesUntil(frames, isLast)));
  await bus.publish('/b', 'end');
  read.push(...(await framesUntil(frames, isAt('/b', 41))));
  t.strictSame(idsIn(read, '/a'), range(1, 16));
  t.strictSame(idsIn(read, '/b'), range(1, 41));
  await frames.return();
});

t.test('a client that reads nothing has one page of a stream in memory, and delays nobody', async (t) => {
  const { bus, url, publishLarge } = await open(t, { longPollingInterval: 400 });
  await publishLarge('/a', 40);
  const { port } = new URL(url);
  const socket = connect(Number(port), '127.0.0.1');
  await once(socket, 'connect');
  socket.pause();
  const body = JSON.stringify({ '/a': 0, '/b': 0 });
  socket.write(
    `POST /message-bus/slow/poll HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await once(socket, 'readable');
  // Live messages of another channel do not gather for it, nor cut it off.
  for (let i = 0; i < 20; i++) await bus.publish('/b', large);
  const quick = stream(url, { '/b': 19 }, { client: 'quick' });
  t.strictSame(idsIn(await framesUntil(quick, isAt('/b', 20)), '/b'), [20]);
  await quick.return();
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 0, 'it ends at the interval');
  let text = '';
  socket.setEncoding('latin1').on('data', (part: string) => {
    text += part;
  });
  socket.resume();
  await until(() => text.endsWith('\r\n0\r\n\r\n'), 'what was sent arrives to its end');
  socket.destroy();
  const ids = [...text.matchAll(/"message_id":(\d+),"channel":"\/a"/g)].map((match) => Number(match[1]));
  t.strictSame(ids, range(1, ids.length));
  t.ok(ids.length > 0 && ids.length < 40, `${ids.length} of 40 messages were sent`);
});

t.test('beyond maxActiveClients, a poll that asks for a stream gets all pages in one, which ends', async (t) => {
  const { url, publishLarge } = await open(t, { maxActiveClients: 0 });
  await publishLarge('/a', 6);
  const answer = await fetch(`${url}/message-bus/s/poll`, { method: 'POST', headers: json, body: '{"/a":0}' });
  t.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8');
  const frames: WireMessage[][] = (await answer.text())
    .split('\r\n|\r\n')
    .slice(0, -1)
    .map((frame) => JSON.parse(frame));
  t.strictSame(idsIn(frames, '/a'), range(1, 6));
  t.equal((await poll(url, { '/a': 6 })).text, '[]');
});

t.test('a newer poll, and the end of the server, end a stream between its pages', async (t) => {
  const { app, bus, url, publishLarge } = await open(t);
  await publishLarge('/a', 12);
  for (const end of [() => poll(url, { '/a': -1, __seq: 2 }), () => app.close()]) {
    const older = stream(url, { '/a': 0, __seq: 1 });
    await older.next();
    await end();
    const rest: WireMessage[][] = [];
    for await (const frame of older) rest.push(frame);
    t.equal(rest.at(-1)?.length, 0, 'it ends with []');
    t.equal(internalsOf(bus).dispatcher.counts.cursors, 0);
  }
});
