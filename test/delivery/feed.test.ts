import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import t from 'tap';
import { Cursor } from '../../src/delivery/cursor.js';
import { Feed } from '../../src/delivery/feed.js';
import type { FeedContext } from '../../src/delivery/feed-context.js';
import type { Source } from '../../src/delivery/source.js';
import { Batch } from '../../src/messages/frame.js';
import { StoredMessage } from '../../src/messages/message.js';
import type { ReadResult } from '../../src/reading/reader.js';
import { until } from '../helpers/until.js';

type Answer = (result: ReadResult) => void;
type FindPlace = Source['findPlace'];

/** A feed whose reads wait for the test to answer them. */
function feedByHand(
  context: Pick<FeedContext, 'connection' | 'isOff'>,
  findPlace: FindPlace = async () => null,
): {
  feed: Feed;
  reads: Answer[];
  fetches: Answer[];
} {
  const reads: Answer[] = [];
  const fetches: Answer[] = [];
  const feed = new Feed(
    {
      read: () => new Promise((resolve) => reads.push(resolve)),
      fetch: () => new Promise((resolve) => fetches.push(resolve)),
      findPlace,
      recall: () => undefined,
      keep: () => {},
      forget: () => {},
      idOf: ({ messageId }) => messageId,
    },
    {
      ...context,
      flushSoon: (feed) =>
        setImmediate(() => {
          while (feed.flushSome(1000)) {}
        }),
      used: () => {},
      idle: () => {},
      idsWentBack: () => {},
      formerlySeenAt: () => undefined,
      readFailed: async () => false,
    },
  );
  return { feed, reads, fetches };
}

function cursorFromZero(feed: Feed) {
  return cursorFrom(0, feed);
}

/** A cursor; what it gets, and where it was moved to. */
function cursorFrom(position: number, feed: Feed): { cursor: Cursor; received: number[]; moves: number[] } {
  const received: number[] = [];
  const moves: number[] = [];
  const cursor = new Cursor(feed, position, {
    onBatch: (_cursor, { messages }) => received.push(...messages.map(({ messageId }) => messageId)),
    onMovedBack: ({ position }) => moves.push(position),
    onStarted: () => {},
    onFailed: () => {},
  });
  return { cursor, received, moves };
}

function batchOf(...ids: number[]): Batch {
  return new Batch(ids.map((id) => new StoredMessage(id, id, '', '/a', null, '0', Number.MAX_SAFE_INTEGER)));
}

t.test('a catch-up that the bus is turned off under gives out nothing; the next one does', async (t) => {
  let connection = 1;
  let isOff = false;
  const { feed, reads, fetches } = feedByHand({ connection: () => connection, isOff: () => isOff });
  const { cursor, received } = cursorFromZero(feed);
  cursor.start();
  reads[0]?.({ lastId: 0, upTo: 0, batch: batchOf() });
  await until(() => cursor.isLive, 'it is live');

  feed.catchUp();
  connection = 0;
  isOff = true;
  fetches[0]?.({ lastId: 1, upTo: 1, batch: batchOf(1) });
  await new Promise(setImmediate);
  t.strictSame(received, []);
  connection = 2;
  isOff = false;
  feed.catchUp();
  t.equal(fetches.length, 2);
  fetches[1]?.({ lastId: 1, upTo: 1, batch: batchOf(1) });
  await until(() => received.length > 0, 'it came');
  t.strictSame(received, [1]);
  t.ok(feed.isCaughtUp(1));
});

for (const { change, seenByCatchUp, readable } of [
  { change: 'raised', seenByCatchUp: [], readable: [1, 2] },
  { change: 'lowered', seenByCatchUp: [1, 2], readable: [1] },
]) {
  t.test(
    `a cursor opened when the age is ${change} gets what it lets be read, not what a catch-up saw before`,
    async (t) => {
      const { feed, reads, fetches } = feedByHand({ connection: () => 1, isOff: () => false });
      const before = cursorFromZero(feed);
      before.cursor.start();
      reads[0]?.({ lastId: 0, upTo: 0, batch: batchOf() });
      await until(() => before.cursor.isLive, 'the first is live');

      feed.catchUp();
      const { cursor, received } = cursorFromZero(feed);
      cursor.start(true);
      fetches[0]?.({ lastId: 2, upTo: 2, batch: batchOf(...seenByCatchUp) });
      await until(() => before.cursor.position === 2, 'the catch-up has arrived');
      reads[1]?.({ lastId: 2, upTo: 1, batch: batchOf(1) });
      await until(() => received.length > 0, 'the first page came');
      reads[2]?.({ lastId: 2, upTo: 2, batch: batchOf(...readable.slice(1)) });
      await until(() => cursor.isLive, 'the second is live');
      t.strictSame(received, readable);
    },
  );
}

// In another past, each id stands for another message than before. Two of them: those of a reader that has read what was
// published since, and those of one that has read what is no more.
for (const { what, ofFeed, ofAhead, moves, next } of [
  { what: 'and nothing is left out', ofFeed: 10, ofAhead: null, moves: [], next: [13] },
  { what: 'and it has passed over some', ofFeed: 5, ofAhead: null, moves: [12], next: [13] },
  { what: 'which is not there any more', ofFeed: null, ofAhead: 10, moves: [10], next: [11, 12, 13] },
]) {
  t.test(`in another past, a cursor that has read beyond its feed, ${what}, gets what it has not got`, async (t) => {
    const asked: unknown[] = [];
    const { feed, reads, fetches } = feedByHand({ connection: () => 1, isOff: () => false }, async (id, mark) => {
      asked.push([id, mark?.globalId]);
      return id === 10 ? ofFeed : ofAhead;
    });
    const behind = cursorFrom(9, feed);
    behind.cursor.start();
    reads[0]?.({ lastId: 10, upTo: 10, batch: batchOf(10) });
    await until(() => behind.cursor.isLive, 'the first is live');
    const first = cursorFrom(10, feed);
    first.cursor.start(true);
    reads[1]?.({ lastId: 12, upTo: 12, batch: batchOf(11, 12) });
    await until(() => first.cursor.isLive, 'it has read beyond the feed');
    first.cursor.close();
    // It comes back with its id, and finds nothing new.
    const [live, starting] = [cursorFrom(12, feed), cursorFrom(12, feed)];
    live.cursor.start(true);
    reads[2]?.({ lastId: 12, upTo: 12, batch: batchOf() });
    await until(() => live.cursor.isLive, 'it is live');
    starting.cursor.start(true);

    const beginning = feed.beginAnew(0);
    reads[3]?.({ lastId: 12, upTo: 12, batch: batchOf() });
    await beginning;
    t.same(asked.sort(), [
      [10, 10],
      [12, 12],
    ]);
    await until(() => reads.length > 4, 'what it had read does not count');
    const all = (after: number) => batchOf(...Array.from({ length: 13 - after }, (_, i) => after + 1 + i));
    reads[4]?.({ lastId: 13, upTo: 13, batch: all(starting.cursor.position) });
    fetches[0]?.({ lastId: 13, upTo: 13, batch: all(feed.lastId ?? 0) });
    await until(() => starting.cursor.isLive && feed.lastId === 13, 'all are there');
    for (const { received, moves: movedTo } of [live, starting]) {
      t.strictSame(received, next);
      t.strictSame(movedTo, moves);
    }
    t.strictSame(behind.moves, ofFeed === null ? [] : [ofFeed]);
    t.strictSame(behind.received, [10, ...(ofFeed === 5 ? [6, 7, 8, 9, 10] : []), 11, 12, 13]);
  });
}

t.test('a cursor that reads while one past follows another finds its place in the last one', async (t) => {
  const places = [4, 2];
  const answers: (() => void)[] = [];
  const { feed, reads } = feedByHand({ connection: () => 1, isOff: () => false }, () => {
    const place = places[answers.length] ?? null;
    return new Promise((resolve) => answers.push(() => resolve(place)));
  });
  const waiting = cursorFrom(9, feed);
  waiting.cursor.start();
  reads[0]?.({ lastId: 10, upTo: 10, batch: batchOf(10) });
  await until(() => waiting.cursor.isLive, 'one is live');
  const starting = cursorFrom(10, feed);
  starting.cursor.start(true);
  const first = feed.beginAnew(0);
  reads[1]?.({ lastId: 10, upTo: 10, batch: batchOf() });
  await new Promise(setImmediate);
  const second = feed.beginAnew(0);
  for (const answer of answers) answer();
  await Promise.all([first, second]);
  await until(() => reads.length > 2, 'it reads again');
  t.equal(starting.cursor.position, 2);
  t.equal(waiting.cursor.position, 2);
});

t.test('a read that looked while a channel was not there, and is answered later, moves nobody back', async (t) => {
  const { feed, reads } = feedByHand({ connection: () => 1, isOff: () => false });
  const waiting = cursorFrom(9, feed);
  waiting.cursor.start();
  reads[0]?.({ lastId: 10, upTo: 10, batch: batchOf(10) });
  await until(() => waiting.cursor.isLive, 'one is live');
  const [late, ahead] = [cursorFrom(10, feed), cursorFrom(10, feed)];
  late.cursor.start(true);
  ahead.cursor.start(true);
  reads[2]?.({ lastId: 12, upTo: 12, batch: batchOf(11, 12) });
  await until(() => ahead.cursor.isLive, 'one has read what was published since');
  reads[1]?.({ lastId: 0, upTo: 0, batch: batchOf() });
  await until(() => reads.length > 3, 'it is read again');
  reads[3]?.({ lastId: 12, upTo: 12, batch: batchOf(11, 12) });
  await until(() => late.cursor.isLive, 'the late one is live');
  for (const { received } of [late, ahead]) t.strictSame(received, [11, 12]);
  t.strictSame([waiting.moves, ahead.moves], [[], []]);

  feed.catchUp();
  const again = cursorFrom(12, feed);
  again.cursor.start(true);
  reads[4]?.({ lastId: 8, upTo: 8, batch: batchOf() });
  await until(() => again.moves.length > 0, 'ids have gone back');
  t.strictSame([waiting.moves, ahead.moves, again.moves], [[8], [8], [8]]);
});

t.test('a catch-up that looked while a channel was not there, and is answered later, moves nobody back', async (t) => {
  const { feed, reads, fetches } = feedByHand({ connection: () => 1, isOff: () => false });
  const waiting = cursorFrom(9, feed);
  waiting.cursor.start();
  reads[0]?.({ lastId: 10, upTo: 10, batch: batchOf(10) });
  await until(() => waiting.cursor.isLive, 'one is live');
  feed.catchUp();
  const ahead = cursorFrom(10, feed);
  ahead.cursor.start(true);
  reads[1]?.({ lastId: 12, upTo: 12, batch: batchOf(11, 12) });
  await until(() => ahead.cursor.isLive, 'one has read what was published since');
  fetches[0]?.({ lastId: 0, upTo: 0, batch: batchOf() });
  await until(() => fetches.length > 1, 'it is read again');
  fetches[1]?.({ lastId: 12, upTo: 12, batch: batchOf(11, 12) });
  await until(() => feed.lastId === 12, 'the feed is there');
  t.strictSame(
    [waiting.received, ahead.received],
    [
      [10, 11, 12],
      [11, 12],
    ],
  );
  t.strictSame([waiting.moves, ahead.moves], [[], []]);
});

t.test(
  'traces tell what a cursor leaves out: what it has read before, and what its full sink does not take',
  async (t) => {
    const traces: unknown[] = [];
    const add = (trace: unknown) => void traces.push(trace);
    subscribe('postbus:deliver', add);
    t.teardown(() => unsubscribe('postbus:deliver', add));
    const { feed, reads } = feedByHand({ connection: () => 1, isOff: () => false });
    const first = cursorFromZero(feed);
    first.cursor.start();
    reads[0]?.({ lastId: 0, upTo: 0, batch: batchOf() });
    await until(() => first.cursor.isLive, 'the feed knows its last id');

    let isFull = false;
    const reader = { kind: 'callback' } as const;
    const sink = { onBatch: () => {}, onMovedBack: () => {}, onStarted: () => {}, onFailed: () => {} };
    const ahead = new Cursor(feed, 0, { ...sink, isFull: () => isFull, tracedAs: reader });
    ahead.start(true);
    reads[1]?.({ lastId: 1, upTo: 1, batch: batchOf(1) });
    await until(() => ahead.isLive, 'it has read beyond the feed');
    const publish = (id: number) => {
      const [message = null] = batchOf(id).messages;
      const notice = { globalId: id, messageId: id, site: '', channel: '/a', version: 1, firstId: 1, expires: 2 ** 50 };
      feed.announce(id, { ...notice, message });
      feed.flush();
    };
    publish(1);
    isFull = true;
    publish(2);
    const about = { channel: null, siteId: null, reader };
    t.strictSame(traces, [
      { ...about, event: 'had', position: 1, messageIds: [1] },
      { ...about, event: 'full', messageIds: [2] },
    ]);
    t.strictSame(first.received, [1, 2]);
  },
);
