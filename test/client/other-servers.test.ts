import t, { type Test } from 'tap';
import { viaAjax } from '../../src/client/page/ajax.js';
import { never, RecordedClient } from '../helpers/recorded-client.js';
import { until } from '../helpers/until.js';

// What servers may send that speak the protocol less strictly than ours.

const text = 'text/plain; charset=utf-8';
const json = 'application/json; charset=utf-8';
const message = (id: number | undefined, data: unknown, channel = '/a') => ({
  global_id: 7,
  message_id: id,
  channel,
  data,
});
const status = (data: Record<string, number>) => ({ global_id: -1, message_id: -1, channel: '/__status', data });
const frame = (...messages: unknown[]) => `${JSON.stringify(messages)}\r\n|\r\n`;

/** A client whose first polls get these answers, and further ones none. Warnings are kept. */
function answered(t: Test, answers: [type: string, body: string][], settings: { firstChunkTimeout?: number } = {}) {
  const warnings: unknown[][] = [];
  t.capture(console, 'warn', (...args: unknown[]) => warnings.push(args));
  const left = [...answers];
  const recorded = new RecordedClient(t, 'http://127.0.0.1:1', {
    callbackInterval: 20,
    ...settings,
    fetch: async () => {
      const [type, body] = left.shift() ?? [];
      if (type === undefined) return new Promise<Response>(() => {});
      return new Response(body ?? '', { headers: { 'content-type': type } });
    },
  });
  return { recorded, warnings };
}

t.test('a message that answers -1, with no status before it, is delivered', async (t) => {
  for (const [type, body] of [
    [text, frame(message(5, 'first')) + frame(message(6, 'second'))],
    [json, JSON.stringify([message(5, 'first'), message(6, 'second')])],
    [text, frame(message(5, 'first'), message(6, 'second'), status({ '/a': 6 }))],
  ] as const) {
    const { recorded } = answered(t, [[type, body]]);
    recorded.subscribe('/a', -1);
    await until(() => recorded.polls.length >= 2, 'it asks again');
    t.strictSame(recorded.data, ['first', 'second']);
    t.strictSame(recorded.polls[1]?.body['/a'], '6', 'after the last one');
  }
});

t.test('a message that answers -1 tells the other callbacks of the channel where it is', async (t) => {
  const { recorded } = answered(t, [
    [json, JSON.stringify([message(5, 'five')])],
    [json, JSON.stringify([message(4, 'four'), message(5, 'five'), message(6, 'six')])],
  ]);
  recorded.subscribe('/a', -1, 'from now on');
  recorded.subscribe('/a', -2, 'the last one');
  recorded.subscribe('/a', 3, 'after 3');
  await until(() => recorded.polls.length >= 3, 'it asks again');
  t.equal(recorded.polls[1]?.body['/a'], '3');
  t.strictSame(Object.fromEntries(recorded.received), {
    'from now on': [5, 6],
    'the last one': [4, 5, 6],
    'after 3': [4, 5, 6],
  });
});

t.test('a message without a message_id is delivered, and moves nothing', async (t) => {
  const ids = [undefined, null, -1, 0].map((id) => ({ ...message(1, 'no place'), message_id: id }));
  for (const type of [text, json]) {
    for (const from of [-1, 0, 3]) {
      const all = [...ids, message(4, 'four')];
      const { recorded, warnings } = answered(t, [[type, type === text ? frame(...all) : JSON.stringify(all)]]);
      recorded.subscribe('/a', from);
      recorded.subscribe('/b', 3);
      await until(() => recorded.polls.length >= 2, 'it asks again');
      t.strictSame(recorded.data, [...ids.map(() => 'no place'), 'four'], `${type} from ${from}`);
      t.match(recorded.polls[1]?.body, { '/a': '4', '/b': '3' });
      t.strictSame(warnings, []);
    }
  }
});

const bad = [
  '{',
  'null',
  '{"error":1}',
  '<h1>Oops</h1>',
  '',
  '[1]',
  '[{"message_id":"1","channel":"/a"}]',
  '[{"data":1}]',
];

t.test('a bad frame is left out of its stream, wherever it is, and the rest is delivered', async (t) => {
  for (const wrong of bad) {
    const frames = [frame(message(1, 1)), `${wrong}\r\n|\r\n`, frame(message(2, 2)), frame()];
    for (const order of [frames, [frames[1], frames[0], frames[2]]]) {
      const { recorded, warnings } = answered(t, [[text, order.join('')]]);
      recorded.subscribe('/a', 0);
      await until(() => recorded.polls.length >= 2, 'it asks again');
      t.strictSame(recorded.data, [1, 2], wrong);
      t.match(warnings, [['MessageBus: part of a stream was left out.', { message: /not of a message bus/ }]]);
    }
  }
});

t.test('what makes sense in a frame is delivered, though a part of it does not', async (t) => {
  const { recorded, warnings } = answered(t, [[text, frame(message(1, 1), null, { message_id: 'x' }, message(2, 2))]]);
  recorded.subscribe('/a', 0);
  await until(() => recorded.polls.length >= 2, 'it asks again');
  t.strictSame(recorded.data, [1, 2]);
  t.equal(warnings.length, 1);
});

t.test('the places of a status in a stream count that make sense, though others do not', async (t) => {
  for (const place of [null, 'x', {}, 1.5]) {
    const places = { ...status({}), data: { '/gone': place, '/a': 4, '/never/asked': 9 } };
    const { recorded, warnings } = answered(t, [[text, frame(places)]]);
    recorded.subscribe('/a', -1);
    recorded.subscribe('/b', 3);
    recorded.subscribe('/gone', 2);
    await until(() => recorded.polls.length >= 2, 'it asks again');
    t.match(recorded.polls[1]?.body, { '/a': '4', '/b': '3', '/gone': '2' });
    t.notOk(recorded.polls[1]?.body['/never/asked']);
    t.equal(warnings.length, 1);
  }
});

t.test('a stream may end with a line break', async (t) => {
  for (const end of ['\n', '\r\n', ' \r\n\r\n']) {
    const { recorded, warnings } = answered(t, [[text, frame(message(1, 1)) + end]]);
    recorded.subscribe('/a', 0);
    await until(() => recorded.polls.length >= 2, 'it asks again');
    t.strictSame(recorded.data, [1]);
    t.strictSame(warnings, []);
  }
});

t.test(
  "a page's ajax may hand over a stream as a whole, though its last frame has no end, or a line break follows",
  async (t) => {
    for (const end of ['', '\r\n', '[]']) {
      const answers = [frame(message(1, 1)) + frame(message(2, 2)) + end];
      const recorded = new RecordedClient(t, 'http://127.0.0.1:1', {
        fetch: viaAjax((options) => {
          const answer = answers.shift();
          if (answer !== undefined) options.success(answer);
        }),
      });
      recorded.subscribe('/a', 0);
      await until(() => recorded.polls.length >= 2, 'it asks again');
      t.strictSame(recorded.data, [1, 2]);
    }
  },
);

t.test('a stream of bad frames alone is a failure', async (t) => {
  for (const wrong of bad.slice(0, 3)) {
    const { recorded, warnings } = answered(t, [[text, `${wrong}\r\n|\r\n`.repeat(3)]]);
    t.capture(console, 'log', () => {});
    recorded.subscribe('/a', 0);
    await until(() => recorded.polls.length >= 2, 'it asks again');
    t.match(warnings, [['MessageBus: a poll failed.', { message: /not of a message bus/ }]]);
    t.match(recorded.client.diagnostics(), { failures: 1, lastError: { message: /not of a message bus/ } });
  }
});

t.test('a stream that makes no sense, and goes on, is given up after firstChunkTimeout', async (t) => {
  const warnings: unknown[][] = [];
  t.capture(console, 'warn', (...args: unknown[]) => warnings.push(args));
  const body = new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from('{}\r\n|\r\n')) });
  const answers = [new Response(body, { headers: { 'content-type': text } })];
  const recorded = new RecordedClient(t, 'http://127.0.0.1:1', {
    firstChunkTimeout: 50,
    pollTimeout: never,
    fetch: async () => answers.shift() ?? new Promise<Response>(() => {}),
  });
  recorded.subscribe('/a', 0);
  await until(() => recorded.polls.length >= 2, 'it asks again');
  t.match(warnings, [['MessageBus: a poll failed.', { message: /not of a message bus/ }]]);
});

t.test('the messages of a stream count whatever its status, and its Retry-After as well', async (t) => {
  const warnings: unknown[][] = [];
  t.capture(console, 'warn', (...args: unknown[]) => warnings.push(args));
  t.capture(console, 'log', () => {});
  for (const code of [429, 503]) {
    const answer = new Response(frame(message(1, code)) + frame(message(2, 'second')), {
      status: code,
      headers: { 'content-type': text, 'retry-after': '3600' },
    });
    const answers = [answer];
    const recorded = new RecordedClient(t, 'http://127.0.0.1:1', {
      maxPollInterval: 1,
      fetch: async () => answers.shift() ?? new Promise<Response>(() => {}),
    });
    recorded.subscribe('/a', 0);
    await until(() => recorded.data.length === 2, 'they come');
    t.strictSame(recorded.data, [code, 'second']);
    t.match(recorded.client.diagnostics(), { lastError: { message: new RegExp(`^${code}`) } });
    if (code === 429) t.equal(recorded.polls.length, 1);
    else await until(() => recorded.polls[1]?.body['/a'] === '2', 'it goes on after them');
  }
  t.equal(warnings.length, 1, 'that of the failure');
});

t.test('callbacks of a poll that is answered as a whole are called between two polls', async (t) => {
  const { recorded } = answered(t, [[json, JSON.stringify([message(1, 1)])]]);
  const seen: unknown[] = [];
  recorded.subscribe('/a', 0, '/a', () => seen.push(recorded.client.longPoll));
  await until(() => recorded.polls.length >= 2, 'it asks again');
  t.strictSame(seen, [null]);
  t.type(recorded.client.longPoll?.abort, 'function', 'the next one is under way');
});
