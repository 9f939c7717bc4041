import t from 'tap';
import { Cursor } from '../../src/dispatcher/cursor.js';
import { Feed } from '../../src/dispatcher/feed.js';
import type { FeedContext } from '../../src/dispatcher/feed-context.js';
import { Batch } from '../../src/frame.js';
import { StoredMessage } from '../../src/message.js';
import type { ReadResult } from '../../src/reader.js';
import { until } from '../helpers/until.js';

type Answer = (result: ReadResult) => void;

/** A feed whose reads wait for the test to answer them. */
function feedByHand(context: Pick<FeedContext, 'connection' | 'isOff'>): {
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
      findPlace: async () => null,
      recall: () => undefined,
      keep: () => {},
      forget: () => {},
      idOf: ({ messageId }) => messageId,
    },
    {
      ...context,
      flushSoon: (feed) => setImmediate(() => feed.flush()),
      used: () => {},
      idle: () => {},
      idsWentBack: () => {},
      readFailed: async () => false,
    },
  );
  return { feed, reads, fetches };
}

function cursorFromZero(feed: Feed): { cursor: Cursor; received: number[] } {
  const received: number[] = [];
  const cursor = new Cursor(feed, 0, {
    onBatch: (_cursor, { messages }) => received.push(...messages.map(({ messageId }) => messageId)),
    onMovedBack: () => {},
    onStarted: () => {},
    onFailed: () => {},
  });
  return { cursor, received };
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
