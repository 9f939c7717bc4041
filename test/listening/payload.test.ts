import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { parsePayload } from '../../src/listening/payload.js';

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
    globalId: fc.integer({ min: 1 }),
    messageId: fc.integer({ min: 1 }),
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
          targets: [
            message?.targets?.userIds ?? null,
            message?.targets?.groupIds ?? null,
            message?.targets?.clientIds ?? null,
          ],
        })),
        messages.map(({ data, targets, expires, ...notice }) => ({
          ...notice,
          json: data,
          expires,
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

const good = ['12', '3', '', '/a', '1', '1', '1796437199850729', '', '"x"'];

t.test('whatever is signed but makes no sense is malformed, and never an exception', async (t) => {
  t.equal(Array.isArray(parsePayload(sign(good.join('\t')), key)), true);
  const bad: [number, string[]][] = [
    [0, ['', '0', '-1', '1.5', 'NaN', 'x', '9007199254740993', 'Infinity']],
    [1, ['', '0', '-1', 'null']],
    [3, ['']],
    [4, ['', 'x']],
    [5, ['', '-1']],
    [6, ['', 'x']],
    [7, ['{', '{}', '[]', '[null,null]', '["1",null,null]', '[[1],null,null]', '[null,null,null,null]', '1']],
    [8, ['{', '"x', 'undefined', '"x"\t1']],
  ];
  for (const [field, values] of bad) {
    for (const value of values) {
      const line = good.map((each, i) => (i === field ? value : each)).join('\t');
      t.equal(parsePayload(sign(line), key), 'malformed', line);
      t.equal(parsePayload(sign(`${good.join('\t')}\n${line}`), key), 'malformed', 'also beside one that is right');
    }
  }
  for (const lines of ['', 'settings\tx', 'settings\t', 'later\t1', '\t\t\t\t\t\t\t\t', good.slice(0, 8).join('\t')]) {
    t.equal(parsePayload(sign(lines), key), 'malformed', lines);
  }
  fc.assert(
    fc.property(junk, (lines) => {
      const content = parsePayload(sign(lines), key);
      if (content === undefined) throw new Error('it is signed');
      if (!Array.isArray(content)) return;
      for (const { globalId, messageId, channel, message } of content) {
        if (!(globalId > 0 && messageId > 0) || channel === '') throw new Error('no message');
        JSON.parse(message?.json ?? 'null');
      }
    }),
    { numRuns: 5_000 },
  );
});
