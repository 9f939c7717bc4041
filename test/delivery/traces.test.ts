import { spawn } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { Traces } from '../../src/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { publishAndStay } from '../helpers/open-transaction.js';
import { listen, poll, stream } from '../helpers/server.js';
import { until } from '../helpers/until.js';

type Name = keyof Traces;

/** Traces of a diagnostics channel, from here to the end of the test. */
function collect<Channel extends Name>(t: Test, name: Channel): Traces[Channel][] {
  const traces: Traces[Channel][] = [];
  const add = (trace: unknown) => void traces.push(trace as Traces[Channel]);
  subscribe(name, add);
  t.teardown(() => unsubscribe(name, add));
  return traces;
}

/** A node whose clients say in headers who they are. */
async function openNode(t: Test) {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const { url } = await listen(t, {
    bus,
    userIdLookup: ({ headers }) => String(headers.user ?? ''),
    siteIdLookup: ({ headers }) => (typeof headers.site === 'string' ? headers.site : undefined),
  });
  return { database, bus, url };
}

t.test('postbus:deliver tells whom each message was handed to, and what hid it from others', async (t) => {
  const { bus, url } = await openNode(t);
  bus.registerClientMessageFilter('/a', ({ data }) => data !== 'hidden by the filter');
  const delivered = collect(t, 'postbus:deliver');
  const ann = stream(url, { '/a': 0 }, { client: 'page', headers: { user: 'ann' } });
  await bus.publish('/a', 'for all');
  await ann.next();
  await bus.publish('/a', 'for Bob', { userIds: ['bob'] });
  await bus.publish('/a', 'hidden by the filter');
  await bus.publish('/a', 'the last one');
  await ann.next();
  await ann.return();
  const reader = { kind: 'stream', clientId: 'page', userId: 'ann' };
  const about = { channel: '/a', siteId: null, reader };
  const byId = new Map(
    delivered.flatMap((trace) => ('messageIds' in trace ? trace.messageIds.map((id) => [id, trace]) : [])),
  );
  t.match(byId.get(1), { ...about, event: 'handed' });
  t.match(byId.get(2), { ...about, event: 'hidden', reason: 'targets' });
  t.match(byId.get(3), { ...about, event: 'hidden', reason: 'filter' });
  t.match(byId.get(4), { ...about, event: 'handed' });

  await bus.subscribe('/a', () => {}, { lastId: 3 });
  await until(() => delivered.at(-1)?.reader.kind === 'callback', 'the callback was called');
  t.match(delivered.at(-1), { event: 'handed', channel: '/a', messageIds: [4] });

  await poll(url, { '/a': 1000 }, { dlp: true });
  t.match(delivered.at(-1), { event: 'moved', position: 4, reader: { kind: 'poll', clientId: 'client' } });
});

t.test(
  'postbus:notice tells of messages of channels and sites that nobody follows, and of what strangers sent',
  async (t) => {
    const { database, bus, url } = await openNode(t);
    const notices = collect(t, 'postbus:notice');
    const reading = stream(url, { '/a': 0 }, { headers: { site: 'one' } });
    await bus.publish('/a', 1, { siteId: 'one' });
    await reading.next();
    await until(() => bus.isConnected, 'it listens');
    // Until the reads that follow the connection are over, notices wait for them.
    const isDispatched = () => notices.some(({ event }) => event === 'dispatched');
    await until(
      async () => (await bus.publish('/a', 2, { siteId: 'one' })) > 0 && isDispatched(),
      'one was dispatched',
    );
    await bus.publish('/a', 1, { siteId: 'two' });
    const unfollowed = () => notices.find((trace) => trace.event === 'nobody' && trace.siteId === 'two');
    await until(() => unfollowed() !== undefined, 'both were heard of');
    t.match(
      notices.find((trace) => trace.event === 'dispatched'),
      { channel: '/a', siteId: 'one', hasContent: true },
    );
    t.match(unfollowed(), { channel: '/a', messageId: 1 });
    await reading.return();

    const [row] = await database.query<{ channel: string }>('select message_bus.notify_channel() as channel');
    await database.query('select pg_notify($1, $2)', [row?.channel, 'by a stranger']);
    await until(() => notices.some(({ event }) => event === 'ignored'), 'it was heard');
    t.match(notices.at(-1), { event: 'ignored', reason: 'forged' });
  },
);

t.test('postbus:read tells what was read from the tables, and what from memory', async (t) => {
  const { bus } = await openNode(t);
  for (const data of [1, 2, 3]) await bus.publish('/a', data);
  const reads = collect(t, 'postbus:read');
  t.equal((await bus.backlog('/a', 1)).length, 2);
  t.strictSame(reads, [
    { event: 'read', channel: '/a', siteId: null, from: 'tables', after: 1, upTo: 3, messageIds: [2, 3] },
  ]);
  await bus.globalBacklog(2);
  t.match(reads.at(-1), { channel: null, from: 'tables', after: 2, messageIds: [3] });

  await bus.subscribe('/a', () => {}, { lastId: 0 });
  await until(() => bus.isConnected, 'it listens');
  await bus.backlog('/a', 0);
  await bus.backlog('/a', 2);
  t.match(reads.at(-1), { from: 'memory', after: 2, messageIds: [3] });
});

t.test('postbus:publish tells what became of each message that this process published', async (t) => {
  const { database, bus } = await openNode(t);
  const published = collect(t, 'postbus:publish');
  await bus.publish('/a', 1);
  await bus.publishMany([
    { channel: '/a', data: 2 },
    { channel: '/b', data: 1, siteId: 's' },
  ]);
  t.strictSame(published.splice(0), [
    { event: 'published', channel: '/a', siteId: null, messageId: 1 },
    { event: 'published', channel: '/a', siteId: null, messageId: 2 },
    { event: 'published', channel: '/b', siteId: 's', messageId: 1 },
  ]);

  const end = await publishAndStay(t, database, ['/a']);
  const waiting = bus.publish('/a', 4);
  await until(() => published.length > 0, 'it is known that it waits');
  await end('commit');
  await waiting;
  t.strictSame(
    published.splice(0).map(({ event }) => event),
    ['held', 'published'],
  );

  await t.rejects(bus.publish('/a', 'x'.repeat(10_000_000)));
  t.match(published.splice(0), [{ event: 'failed', channel: '/a', error: { code: 'POSTBUS_DATA_TOO_LARGE' } }]);
  bus.off();
  await bus.publish('/a', 5);
  t.match(published, [{ event: 'off', channel: '/a' }]);
});

t.test('NODE_DEBUG=postbus writes traces to stderr, a line each, without the data of messages', async (t) => {
  const { url } = await createDatabase(t);
  const index = new URL('../../src/index.js', import.meta.url).href.replace('/src/', '/dist/');
  const script = `import { createBus } from ${JSON.stringify(index)};
    const bus = createBus({ connectionString: ${JSON.stringify(url)} });
    const heard = new Promise((resolve) => bus.subscribe('/a', resolve, { lastId: 0 }));
    await bus.publish('/a', 'a secret');
    await heard;
    await bus.close();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
    env: { ...process.env, NODE_DEBUG: 'postbus' },
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  const [written, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  t.equal(code, 0, written);
  t.match(written, /^POSTBUS \d+: postbus:publish published channel="\/a" siteId=null messageId=1$/m);
  t.match(written, /^POSTBUS \d+: postbus:deliver handed .*reader=\{"kind":"callback"\} messageIds=\[1\]$/m);
  t.notMatch(written, 'a secret');
});
