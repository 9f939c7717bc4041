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
    version: fc.nat(),
    firstId: fc.nat(),
    expires: fc.maxSafeNat(),
    targets: fc.tuple(ids, ids, ids),
    data: fc.option(fc.json(), { nil: '' }),
  });
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 5 }), (messages) => {
      const lines = messages.map(({ globalId, messageId, site, channel, version, firstId, expires, targets, data }) => {
        const listed = targets.some((list) => list !== null) ? JSON.stringify(targets) : '';
        return [globalId, messageId, site, channel, version, firstId, expires, listed, data].join('\t');
      });
      const content = parsePayload(sign(lines.join('\n')), key);
      const notices = Array.isArray(content) ? content : undefined;
      t.strictSame(
        (Array.isArray(notices) ? notices : []).map(({ message, ...notice }) => ({
          ...notice,
          json: message?.json ?? '',
          expires: message?.expires ?? 0,
          targets: [
            message?.targets?.userIds ?? null,
            message?.targets?.groupIds ?? null,
            message?.targets?.clientIds ?? null,
          ],
        })),
        messages.map(({ data, targets, expires, ...notice }) => ({
          ...notice,
          json: data,
          expires: data === '' ? 0 : expires,
          targets: data === '' ? [null, null, null] : targets,
        })),
      );
    }),
  );
});

t.test('so does the version of the settings', async (t) => {
  fc.assert(
    fc.property(fc.nat(), (version) => {
      t.strictSame(parsePayload(sign(`settings\t${version}`), key), { version });
    }),
  );
});
