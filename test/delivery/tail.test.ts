import fc from 'fast-check';
import t from 'tap';
import { Tail } from '../../src/delivery/tails/tail.js';
import { TailMemory } from '../../src/delivery/tails/tail-memory.js';
import { Batch } from '../../src/messages/frame.js';
import { StoredMessage } from '../../src/messages/message.js';
import type { Notice } from '../../src/messages/notice.js';
import type { ChannelResult } from '../../src/reading/reader.js';

const never = Number.MAX_SAFE_INTEGER;

function message(messageId: number, length: number): StoredMessage {
  return new StoredMessage(messageId, messageId, '', '/a', null, 'x'.repeat(length), never);
}

function notice(messageId: number, length: number, version = 1): Notice {
  const ids = { globalId: messageId, messageId, version, firstId: 1 };
  return { ...ids, site: '', channel: '/a', expires: never, message: message(messageId, length) };
}

function page(after: number, upTo: number, length: number, version = 1): ChannelResult {
  const messages = Array.from({ length: upTo - after }, (_, i) => message(after + i + 1, length));
  return { lastId: upTo, upTo, firstId: 1, batch: new Batch(messages), terms: { version, now: 0, askedAt: 0 } };
}

function idsAfter(tail: Tail, after: number): number[] | undefined {
  return tail.slice(after, 0)?.batch.messages.map(({ messageId }) => messageId);
}

t.test('whatever comes in, tails stay within the memory that they may take', async (t) => {
  const length = fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: 20_000 }));
  const which = fc.nat({ max: 9 });
  const step = fc.record({
    do: fc.constantFrom('notice', 'notice', 'skip', 'read', 'slice', 'slice', 'change', 'forget'),
    which,
    length,
    count: fc.integer({ min: 0, max: 40 }),
  });
  let mostBytes = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: 'max' }), fc.integer({ min: 0, max: 200_000 }), (steps, max) => {
      const tails = new TailMemory(max);
      const all = Array.from({ length: 10 }, () => new Tail(tails));
      let id = 1;
      let version = 1;
      for (const { do: what, which, length, count } of steps) {
        const tail = all[which];
        if (what === 'notice') tail?.append(notice(++id, length, version));
        if (what === 'skip') id += count;
        if (what === 'read') tail?.add(id - 1, page(id - 1, id + count - 1, length, version));
        if (what === 'slice') tail?.slice(Math.max(0, id - count), 0);
        if (what === 'change') tails.learnVersion(++version);
        if (what === 'forget') tail?.forget();
        const bytes = all.reduce((sum, { bytes }) => sum + bytes, 0);
        if (bytes !== tails.bytes) throw new Error(`counts ${tails.bytes} where there are ${bytes}`);
        if (bytes > max) throw new Error(`${bytes} bytes`);
        mostBytes = Math.max(mostBytes, bytes);
      }
      tails.forget();
      if (tails.bytes !== 0) throw new Error(`${tails.bytes} bytes of nothing`);
    }),
    { numRuns: 500 },
  );
  t.ok(mostBytes > 100_000);
});

t.test('those that were used longest ago go first', async (t) => {
  const tails = new TailMemory(10_000);
  const [a, b, c] = [new Tail(tails), new Tail(tails), new Tail(tails)];
  for (const tail of [a, b]) tail.append(notice(1, 1_000));
  t.strictSame(idsAfter(a, 0), [1]);
  c.append(notice(1, 1_000));
  c.append(notice(2, 500));
  t.strictSame([idsAfter(a, 0), idsAfter(b, 0), idsAfter(c, 0)], [[1], undefined, [1, 2]]);
});

t.test('a tail keeps the last thousand, however long it grows', async (t) => {
  const tail = new Tail(new TailMemory());
  for (let id = 1; id <= 5_000; id++) tail.append(notice(id, 10));
  t.equal(idsAfter(tail, 3_999), undefined);
  t.equal(idsAfter(tail, 4_000)?.length, 1_000);
  t.ok(tail.bytes < 1_000_000, `${tail.bytes} bytes`);
});

t.test('pages put together', async (t) => {
  const tail = new Tail(new TailMemory());
  tail.add(0, page(0, 3, 1));
  tail.add(3, page(3, 5, 1));
  t.strictSame(idsAfter(tail, 0), [1, 2, 3, 4, 5], 'the next one');
  tail.add(2, page(2, 7, 1));
  t.strictSame(idsAfter(tail, 0), [1, 2, 3, 4, 5, 6, 7], 'one that overlaps');
  tail.append(notice(9, 1));
  t.strictSame([idsAfter(tail, 7), idsAfter(tail, 8)], [undefined, [9]], 'a hole');
  tail.add(4, page(4, 8, 1));
  t.strictSame(idsAfter(tail, 4), [5, 6, 7, 8, 9], 'is closed from below');
  tail.add(1, page(1, 2, 1));
  t.strictSame([idsAfter(tail, 1), idsAfter(tail, 4)?.length], [undefined, 5], 'one far below is of no use');
});

t.test('those who ask for the same are given the same bytes', async (t) => {
  const tail = new Tail(new TailMemory());
  tail.add(0, page(0, 3, 1));
  const one = tail.slice(1, 0);
  t.equal(tail.slice(1, 0)?.batch.frame.body, one?.batch.frame.body);
  tail.append(notice(4, 1));
  t.strictSame(idsAfter(tail, 1), [2, 3, 4]);
});

t.test('a slice is a page, and its next one follows on it', async (t) => {
  const tail = new Tail(new TailMemory());
  tail.add(0, page(0, 30, 100_000));
  const seen: number[] = [];
  let pages = 0;
  for (let at = 0; at < 30; pages++) {
    const slice = tail.slice(at, 0);
    seen.push(...(slice?.batch.messages.map(({ messageId }) => messageId) ?? []));
    at = slice?.upTo ?? 30;
  }
  t.equal(pages, 5);
  t.strictSame(
    seen,
    Array.from({ length: 30 }, (_, i) => i + 1),
  );
});

t.test('what had passed its age is read again after the clock of the database has gone back', async (t) => {
  const second = 1_000_000;
  const tails = new TailMemory();
  const answered = (now: number) => ({ version: 1, now, askedAt: performance.now() });
  const expiring = (id: number, expires: number) => new StoredMessage(id, id, '', '/a', null, '1', expires);
  const noticeOf = (message: StoredMessage): Notice => ({
    ...notice(message.messageId, 1),
    expires: message.expires,
    message,
  });

  // Expired here.
  const own = new Tail(tails);
  tails.learnTerms(answered(10 * second));
  own.append(noticeOf(expiring(1, 100 * second)));
  own.append(noticeOf(expiring(2, 900 * second)));
  const ids = (tail: Tail, now: number) => tail.slice(0, now)?.batch.messages.map(({ messageId }) => messageId);
  t.strictSame(ids(own, 50 * second), [1, 2]);
  t.strictSame(ids(own, 200 * second), [2]);
  t.strictSame(ids(own, 150 * second), [2], 'it is gone all the same');
  t.equal(ids(own, 60 * second), undefined, 'it is back: read it');

  // Expired when it was read.
  const read = new Tail(tails);
  const page = { lastId: 2, upTo: 2, firstId: 1, batch: new Batch([expiring(2, 900 * second)]) };
  read.add(0, { ...page, terms: answered(200 * second) });
  t.strictSame(ids(read, 201 * second), [2]);
  t.equal(ids(read, 199 * second), undefined);

  // The same for those who do not ask: as soon as any answer tells of the clock.
  const recalled = new Tail(tails);
  recalled.add(0, { ...page, terms: answered(200 * second) });
  t.ok(recalled.sliceBefore(0, tails.latestTime));
  tails.learnTerms(answered(60 * second));
  t.equal(recalled.sliceBefore(0, tails.latestTime), undefined);
});
