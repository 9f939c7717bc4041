import t from 'tap';
import { Cursor } from '../../src/dispatcher/cursor.js';
import { Feed, type Source } from '../../src/dispatcher/feed.js';
import { Batch } from '../../src/frame.js';
import { StoredMessage } from '../../src/message.js';
import type { ReadResult } from '../../src/reader.js';
import { until } from '../helpers/until.js';

t.test('a catch-up that the bus is turned off under gives out nothing; the next one does', async (t) => {
  const message = new StoredMessage(1, 1, '', '/a', null, '0', Number.MAX_SAFE_INTEGER);
  const fetches: ((result: ReadResult) => void)[] = [];
  const source: Source = {
    read: async () => ({ lastId: 0, upTo: 0, batch: new Batch([]) }),
    fetch: () => new Promise((resolve) => fetches.push(resolve)),
    recall: () => undefined,
    keep: () => {},
    forget: () => {},
    idOf: ({ messageId }) => messageId,
  };
  let connection = 1;
  let isOff = false;
  const feed = new Feed(source, {
    connection: () => connection,
    isOff: () => isOff,
    flushSoon: (feed) => setImmediate(() => feed.flush()),
    readFailed: async () => false,
  });
  const received: number[] = [];
  const cursor = new Cursor(feed, 0, {
    onBatch: (_cursor, { messages }) => received.push(...messages.map(({ messageId }) => messageId)),
    onMovedBack: () => {},
    onStarted: () => {},
    onFailed: () => {},
  });
  cursor.start();
  await until(() => cursor.isLive, 'it is live');

  feed.catchUp();
  connection = 0;
  isOff = true;
  fetches[0]?.({ lastId: 1, upTo: 1, batch: new Batch([message]) });
  await new Promise(setImmediate);
  t.strictSame(received, []);
  connection = 2;
  isOff = false;
  feed.catchUp();
  t.equal(fetches.length, 2);
  fetches[1]?.({ lastId: 1, upTo: 1, batch: new Batch([message]) });
  await until(() => received.length > 0, 'it came');
  t.strictSame(received, [1]);
  t.ok(feed.isCaughtUp(1));
});
