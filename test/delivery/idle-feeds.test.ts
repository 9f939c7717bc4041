import t from 'tap';
import { Dispatcher, type DispatcherOptions } from '../../src/delivery/dispatcher.js';
import { Batch } from '../../src/messages/frame.js';
import { StoredMessage } from '../../src/messages/message.js';
import type { ChannelResult } from '../../src/reading/reader.js';
import { until } from '../helpers/until.js';

const terms = { version: 1, now: 0, askedAt: 0 };

/** A dispatcher whose channels all have the same last id, and what its cursors have received. */
function newDispatcher(lastId: number, read?: () => Promise<ChannelResult>) {
  const reader: DispatcherOptions['reader'] = {
    read: read ?? (async () => ({ lastId, upTo: lastId, firstId: 1, batch: new Batch([]), terms })),
    head: async () => ({ lastId, terms }),
    readGlobal: async () => ({ lastId: 0, upTo: 0, batch: new Batch([]) }),
    findPlace: async () => null,
  };
  const dispatcher = new Dispatcher({ reader, onTrouble: () => {} });
  t.teardown(() => dispatcher.close());
  dispatcher.connected();
  const received: number[] = [];
  let started = 0;
  const open = (channel: string) =>
    dispatcher.open('', channel, lastId, {
      onBatch: (_cursor, { messages }) => received.push(...messages.map(({ messageId }) => messageId)),
      onMovedBack: () => {},
      onStarted: () => started++,
      onFailed: () => {},
    });
  const follow = async (channel: string) => {
    const cursor = open(channel);
    cursor.start();
    await until(() => cursor.isLive, 'the cursor is live');
    return cursor;
  };
  return { dispatcher, received, open, follow };
}

function notice(channel: string, id: number) {
  const message = new StoredMessage(id, id, '', channel, null, '0', Number.MAX_SAFE_INTEGER);
  return { globalId: id, messageId: id, site: '', channel, version: 1, firstId: 1, expires: 0, message };
}

t.test('however many channels are asked for and left, a node keeps 20,000 of them', async (t) => {
  const { dispatcher, open, follow } = newDispatcher(0);
  const staying = await follow('/staying');
  for (let round = 0; round < 5; round++) {
    const cursors = Array.from({ length: 10_000 }, (_, i) => open(`/unknown/${round}/${i}`));
    for (const cursor of cursors) cursor.start();
    await until(() => cursors.every((cursor) => cursor.isLive), 'they wait');
    t.equal(dispatcher.counts.cursors, 10_001);
    for (const cursor of cursors) cursor.close();
  }
  t.strictSame(dispatcher.counts, { channels: 20_001, cursors: 1 });
  t.ok(staying.isLive);
});

t.test('channels that have messages are kept when strangers ask for channels that have none', async (t) => {
  const { dispatcher, received, open, follow } = newDispatcher(0);
  const cursor = await follow('/known');
  dispatcher.announce([notice('/known', 1)]);
  await until(() => received.length === 1, 'it came');
  cursor.close();
  const unknown = Array.from({ length: 20_001 }, (_, i) => open(`/unknown/${i}`));
  for (const each of unknown) each.start();
  await until(() => unknown.every((each) => each.isLive), 'they wait');
  for (const each of unknown) each.close();
  const back = open('/known');
  back.start();
  t.ok(back.isLive, 'what is new for it is in memory, so no read is needed');
  t.strictSame(received, [1, 1]);
});

t.test('nothing is kept of a channel whose read never ended', async (t) => {
  const { dispatcher, open } = newDispatcher(0, () => new Promise(() => {}));
  const cursors = Array.from({ length: 100 }, (_, i) => open(`/unknown/${i}`));
  for (const cursor of cursors) cursor.start();
  t.equal(dispatcher.counts.channels, 100);
  for (const cursor of cursors) cursor.close();
  t.equal(dispatcher.counts.channels, 0);
});

t.test('a channel stays while a cursor is opened but not started, and another one closes', async (t) => {
  const { dispatcher, received, open } = newDispatcher(0);
  const opened = open('/a');
  open('/a').close();
  opened.start();
  await until(() => opened.isLive, 'the cursor is live');
  dispatcher.announce([notice('/a', 1)]);
  await until(() => received.length > 0, 'the message reaches it');
  t.strictSame(received, [1]);
});

t.test('a reader that waits for its first read gets all messages, however many were announced meanwhile', async (t) => {
  const last = 5_000;
  const messages = Array.from({ length: last }, (_, i) => notice('/a', i + 1).message);
  let answer = () => {};
  let reads = 0;
  const { dispatcher, received, open } = newDispatcher(0, async () => {
    // The first read looks before the messages are published, and answers after it.
    if (reads++ > 0) return { lastId: last, upTo: last, firstId: 1, batch: new Batch(messages), terms };
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    return { lastId: 0, upTo: 0, firstId: 1, batch: new Batch([]), terms };
  });
  open('/a').start();
  for (const { messageId } of messages) dispatcher.announce([notice('/a', messageId)]);
  answer();
  await until(() => received.length >= last, 'all have come');
  t.strictSame(
    received,
    messages.map(({ messageId }) => messageId),
  );
});
