import type { ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import type { PostbusOptions } from '../../src/fastify/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { startProxy } from '../helpers/proxy.js';
import { never, RecordedClient, range, type SentPoll } from '../helpers/recorded-client.js';
import { RestartableNode } from '../helpers/restartable-node.js';
import { listen } from '../helpers/server.js';
import { until } from '../helpers/until.js';

async function serve(
  t: Test,
  prepare: (app: FastifyInstance) => void = () => {},
  options: Partial<PostbusOptions> = {},
) {
  const { url: database, query } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, { bus, ...options }, prepare);
  return { bus, url, query };
}

/** Keeps warnings of failed polls off the test's output; returns them. */
function captureWarnings(t: Test): unknown[][] {
  const warnings: unknown[][] = [];
  t.capture(console, 'warn', (...args: unknown[]) => warnings.push(args));
  return warnings;
}

/** Ms between the polls, from the start of one to the start of the next. */
const gaps = (polls: readonly SentPoll[]) => polls.slice(1).map(({ at }, i) => at - (polls[i]?.at ?? 0));

t.test('an answer may break off at any byte', async (t) => {
  const { bus, url } = await serve(t);
  const proxy = await startProxy(t, url);
  captureWarnings(t);
  // Further each time: in the first frame, between frames, in the separator, in a later frame, in a character.
  let breakAfter = 0;
  proxy.treat = () => {
    breakAfter += 23;
    return { breakAfter };
  };
  const streaming = new RecordedClient(t, proxy.url, { maxPollInterval: 20 });
  const whole = new RecordedClient(t, proxy.url, { maxPollInterval: 20, enableChunkedEncoding: false });
  for (const recorded of [streaming, whole]) recorded.subscribe('/a', 0);
  const data = range(1, 30).map((n) => `${n} Grüße, 世界 \r\n|\r\n`);
  for (const each of data) await bus.publish('/a', each);
  for (const recorded of [streaming, whole]) {
    await recorded.untilAt('/a', 30);
    t.strictSame(recorded.ids('/a'), range(1, 30));
    t.strictSame(recorded.data, data);
    t.ok(recorded.polls.length > 3, 'it broke off again and again');
  }
});

t.test('a connection on which nothing comes any more is given up', async (t) => {
  const { bus, url } = await serve(t);
  const proxy = await startProxy(t, url);
  for (const settings of [{}, { enableChunkedEncoding: false }]) {
    const recorded = new RecordedClient(t, proxy.url, { pollTimeout: 300, firstChunkTimeout: 300, ...settings });
    recorded.subscribe('/a', -1);
    await recorded.untilAt('/a', await bus.lastId('/a'));
    proxy.treat = () => 'swallow';
    const seen = recorded.polls.length;
    await until(() => recorded.polls.length > seen + 1, 'it polls in vain');
    proxy.treat = () => 'pass';
    await recorded.untilAt('/a', await bus.publish('/a', 1));
    t.capture(console, 'log', () => {});
    t.equal(recorded.client.diagnostics().failures, 0, 'a server may let polls wait for longer');
    recorded.client.stop();
  }
});

t.test('failures back off, at random, and no further than to maxPollInterval', async (t) => {
  let isDown = true;
  const { bus, url } = await serve(t, (app) => {
    app.addHook('onRequest', async (_request, reply) => {
      if (isDown) return reply.code(502).send('<h1>Bad Gateway</h1>');
    });
  });
  const warnings = captureWarnings(t);
  const most = 160;
  const clients = range(1, 3).map(() => new RecordedClient(t, url, { minPollInterval: 10, maxPollInterval: most }));
  for (const recorded of clients) recorded.subscribe('/a', 0);
  await until(() => clients.every(({ polls }) => polls.length >= 8), 'they have tried again and again');
  for (const { polls } of clients) {
    for (const [i, gap] of gaps(polls.slice(0, 8)).entries()) {
      const bound = Math.min(most, 10 * 2 ** (i + 1)) / 2;
      // Timers may go off a little early.
      t.ok(gap > bound - 2, `${gap} ms after failure ${i + 1}, where it is at least ${bound}`);
    }
  }
  // The fifth wait is of 80 to 160 ms.
  const rounded = new Set(clients.flatMap(({ polls }) => gaps(polls.slice(4, 8)).map((gap) => Math.round(gap / 2))));
  t.ok(rounded.size > 3, 'not in step');
  t.match(warnings[0], ['MessageBus: a poll failed.', { message: '502 <h1>Bad Gateway</h1>' }]);

  const [first] = clients;
  if (!first) throw new Error('no clients');
  t.capture(console, 'log', () => {});
  await until(() => first.client.diagnostics().recentFailures >= 8, 'its failures are counted');
  isDown = false;
  const id = await bus.publish('/a', 1);
  for (const recorded of clients) await recorded.untilAt('/a', id);
  t.equal(first.client.diagnostics().recentFailures, 0);
  t.ok(first.client.diagnostics().failures >= 8);
});

t.test('subscribing does not undo the back-off', async (t) => {
  const warnings = captureWarnings(t);
  const recorded = new RecordedClient(t, 'http://127.0.0.1:1', { minPollInterval: 200, maxPollInterval: never });
  recorded.subscribe('/a');
  await until(() => warnings.length === 2, 'it failed twice');
  for (const n of range(1, 10)) recorded.subscribe(`/a/${n}`);
  await until(() => warnings.length === 3, 'it failed again');
  t.ok((gaps(recorded.polls)[1] ?? 0) > 390);
});

t.test('answers that are not of a message bus are failures', async (t) => {
  const answers: [string, string][] = [
    ['text/html', '<h1>Log in</h1>'],
    ['application/json', '{"statusCode":200}'],
    ['application/json; charset=utf-8', ''],
    ['text/plain; charset=utf-8', '[]\r\n|\r\n{}\r\n|\r\n'],
    ['text/plain; charset=utf-8', '[{"global_id":1,"message_id":1,"cha'],
    // A client that took these for its positions would ask from nowhere, or for all again.
    ...[
      null,
      7,
      { global_id: 1, message_id: 1, data: 1 },
      { global_id: 1, message_id: '1', channel: '/a', data: 1 },
      { global_id: -1, message_id: -1, channel: '/__status', data: { '/a': 'x' } },
      { global_id: -1, message_id: -1, channel: '/__status', data: { '/a': null } },
    ].map((wrong): [string, string] => [
      'application/json',
      JSON.stringify([{ global_id: 1, message_id: 1, channel: '/a', data: 'of half an answer' }, wrong]),
    ]),
  ];
  const left = [...answers];
  const { bus, url } = await serve(t, (app) => {
    app.addHook('onRequest', async (_request, reply) => {
      const [type, body] = left.shift() ?? [];
      if (type !== undefined) return reply.type(type).send(body);
    });
  });
  const warnings = captureWarnings(t);
  const recorded = new RecordedClient(t, url);
  recorded.subscribe('/a', 0);
  await recorded.untilAt('/a', await bus.publish('/a', 1));
  t.equal(warnings.length, answers.length);
  t.strictSame(recorded.ids('/a'), [1]);
  t.strictSame(recorded.data, [1]);
});

t.test('an answer that makes no sense is not read to its end', async (t) => {
  let answer: ServerResponse | undefined;
  const { bus, url } = await serve(t, (app) => {
    app.addHook('onRequest', async (_request, reply) => {
      if (answer) return;
      answer = reply.hijack().raw;
      answer.writeHead(200, { 'content-type': 'text/plain' }).write('{}\r\n|\r\n');
    });
  });
  captureWarnings(t);
  const recorded = new RecordedClient(t, url, { firstChunkTimeout: 50 });
  recorded.subscribe('/a', 0);
  await recorded.untilAt('/a', await bus.publish('/a', 1));
  await until(() => answer?.closed === true, 'the connection has ended');
});

t.test('a fetch that knows nothing of signals is given up, too', async (t) => {
  const { bus, url } = await serve(t);
  const late: (() => void)[] = [];
  const timeouts = { pollTimeout: 100, firstChunkTimeout: 100 };
  let isDeaf = true;
  const recorded = new RecordedClient(t, url, {
    ...timeouts,
    fetch: async (url, { signal: _, ...init }) => {
      if (isDeaf) await new Promise<void>((resolve) => late.push(resolve));
      return fetch(url, init);
    },
  });
  recorded.subscribe('/a', 0);
  await until(() => late.length > 2, 'it polls again');
  isDeaf = false;
  await recorded.untilAt('/a', await bus.publish('/a', 1));
  // What was given up is answered in the end.
  for (const resolve of late) resolve();
  await recorded.untilAt('/a', await bus.publish('/a', 2));
  t.strictSame(recorded.ids('/a'), [1, 2]);
});

t.test('what the server has against a poll is told', async (t) => {
  const { url } = await serve(t, () => {}, { bodyLimit: 10 });
  const warnings = captureWarnings(t);
  const recorded = new RecordedClient(t, url);
  for (const channel of ['/a', '/b', '/c']) recorded.subscribe(channel);
  await until(() => warnings.length > 0, 'it is told');
  t.match(String(warnings[0]?.[1]), /^Error: 413 .*FST_ERR_CTP_BODY_TOO_LARGE/);
});

t.test('channels that the server leaves out do not keep the others from going on', async (t) => {
  const { url, bus } = await serve(t, () => {}, { maxChannels: 2 });
  const warnings = captureWarnings(t);
  const recorded = new RecordedClient(t, url);
  for (const channel of ['/a', '/b', '/c']) recorded.subscribe(channel);
  await recorded.untilAt('/a', await bus.publish('/a', 1));
  await recorded.untilAt('/b', await bus.publish('/b', 1));
  t.strictSame(warnings, []);
});

for (const [name, header, least] of [
  ['seconds', () => '1', 1_000],
  // Of whole seconds: up to one of the two may be over.
  ['a date', () => new Date(Date.now() + 2_000).toUTCString(), 900],
  ['no word of when', () => undefined, 700],
] as const) {
  t.test(`a rate limit with ${name} is kept`, async (t) => {
    let left = 1;
    const { bus, url } = await serve(t, (app) => {
      app.addHook('onRequest', async (_request, reply) => {
        if (left-- <= 0) return;
        const value = header();
        return reply
          .code(429)
          .headers(value === undefined ? {} : { 'retry-after': value })
          .send('too many');
      });
    });
    const warnings = captureWarnings(t);
    const recorded = new RecordedClient(t, url, { callbackInterval: 700 });
    recorded.subscribe('/a', 0);
    t.capture(console, 'log', () => {});
    await until(() => /^Error: 429/.test(String(recorded.client.diagnostics().lastError)), 'it was refused');
    // None of these is a way around it.
    recorded.subscribe('/b', 0);
    recorded.client.unsubscribe('/b');
    recorded.client.stop();
    recorded.client.start();
    await recorded.untilAt('/a', await bus.publish('/a', 1));
    const [wait = 0] = gaps(recorded.polls);
    t.ok(wait > least - 5, `it waited for ${wait} ms`);
    t.strictSame(warnings, [], 'nothing has failed');
  });
}

t.test('a page is back soon after its server, whatever the regular intervals', async (t) => {
  const { url: database, query } = await createDatabase(t);
  const node = new RestartableNode(t, database, () => {});
  await node.start();
  captureWarnings(t);
  const clients = [{}, { enableChunkedEncoding: false }].map((settings) => new RecordedClient(t, node.url, settings));
  for (const recorded of clients) recorded.subscribe('/a', 0);
  const publish = () => query(`select message_bus.publish('/a', '1')`);
  for (let id = 1; id <= 6; id++) {
    await publish();
    for (const recorded of clients) await recorded.untilAt('/a', id);
    await (id % 2 === 0 ? node.stop() : node.crash());
    await node.start();
  }
  for (const recorded of clients) t.strictSame(recorded.ids('/a'), range(1, 6));
});

t.test('a server that lets no polls wait is asked less and less often', async (t) => {
  const { bus, url } = await serve(t, () => {}, { longPollingEnabled: false });
  const answered: number[] = [];
  const recorded = new RecordedClient(t, url, {
    minPollInterval: 10,
    callbackInterval: 200,
    fetch: async (...request) => {
      const start = performance.now();
      const response = await fetch(...request);
      const answer = new Response(await response.text(), response);
      answered.push(performance.now() - start);
      return answer;
    },
  });
  recorded.subscribe('/a', 0);
  await until(() => recorded.polls.length >= 8, 'it has asked');
  let retries = 0;
  for (const [i, gap] of gaps(recorded.polls.slice(0, 8)).entries()) {
    const least = Math.min(200, 10 * 2 ** ++retries) / 2;
    t.ok(gap > least - 2, `${gap} ms after poll ${i + 1}`);
    // A poll that takes as long as the client would wait looks as if the server had let it wait.
    if ((answered[i] ?? 0) > least - 5) retries = 0;
  }
  await recorded.untilAt('/a', await bus.publish('/a', 1));
});

t.test('a backlog of several pages comes at once, also where polls are rare', async (t) => {
  const { query, url } = await serve(t);
  await query(`select message_bus.publish('/a', to_jsonb(repeat('x', 100000))) from generate_series(1, 20)`);
  const recorded = new RecordedClient(t, url, { enableLongPolling: false });
  recorded.subscribe('/a', 0);
  await recorded.untilAt('/a', 20);
  t.ok(recorded.polls.length > 2, 'of several pages');
  t.strictSame(recorded.ids('/a'), range(1, 20));
});
