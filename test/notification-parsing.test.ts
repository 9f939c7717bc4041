import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { parsePayload } from '../src/notification.js';

const key = Buffer.from('the key of this bus');

function sign(lines: string): string {
  const inner = createHash('sha256').update(key).update(lines).digest();
  return `1\t${createHash('sha256').update(key).update(inner).digest('hex')}\n${lines}`;
}

const piece = fc.oneof(
  fc.constantFrom('\t', '\n', '1', '1\t', '', '/a', '"x"', '0'.repeat(64), '\0'),
  fc.string({ unit: 'binary' }),
  fc.integer().map(String),
);
const junk = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''));

t.test('whatever is not signed is not one of ours, and never an exception', async (t) => {
  fc.assert(
    fc.property(junk, (payload) => parsePayload(payload, key) === undefined),
    { numRuns: 5_000 },
  );
  fc.assert(
    fc.property(junk, junk, (lines, other) => {
      const [head] = sign(lines).split('\n');
      return lines === other || parsePayload(`${head}\n${other}`, key) === undefined;
    }),
    { numRuns: 2_000 },
  );
  fc.assert(
    fc.property(junk, fc.uint8Array({ maxLength: 40 }), (lines, otherKey) => {
      return key.equals(otherKey) || parsePayload(sign(lines), Buffer.from(otherKey)) === undefined;
    }),
  );
  t.pass();
});

t.test('what is signed comes back as it was', async (t) => {
  const text = fc.string({ unit: 'grapheme', maxLength: 20 }).map((value) => value.replace(/\p{Cc}/gu, ''));
  const ids = fc.option(fc.array(fc.string(), { minLength: 1 }));
  const message = fc.record({
    globalId: fc.nat(),
    messageId: fc.nat(),
    site: text,
    channel: text.map((name) => `/${name}`),
    targets: fc.tuple(ids, ids, ids),
    data: fc.option(fc.json(), { nil: '' }),
  });
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 5 }), (messages) => {
      const lines = messages.map(({ globalId, messageId, site, channel, targets, data }) => {
        const listed = targets.some((list) => list !== null) ? JSON.stringify(targets) : '';
        return [globalId, messageId, site, channel, listed, data].join('\t');
      });
      const notices = parsePayload(sign(lines.join('\n')), key);
      t.strictSame(
        (Array.isArray(notices) ? notices : []).map(({ message, ...notice }) => ({
          ...notice,
          json: message?.json ?? '',
          targets: [
            message?.targets?.userIds ?? null,
            message?.targets?.groupIds ?? null,
            message?.targets?.clientIds ?? null,
          ],
        })),
        messages.map(({ data, targets, ...notice }) => ({
          ...notice,
          json: data,
          targets: data === '' ? [null, null, null] : targets,
        })),
      );
    }),
  );
});
