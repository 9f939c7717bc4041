import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { RecordedClient, range } from '../helpers/recorded-client.js';
import { serveBus } from '../helpers/served-bus.js';
import { until } from '../helpers/until.js';

// What grows with the square of an amount takes longer here than a test may; what grows with the amount takes a moment.

t.test('hundreds of callbacks of one channel and a long backlog', async (t) => {
  const { query, url } = await serveBus(t);
  await query(`select message_bus.publish('/a', to_jsonb(n)) from generate_series(1, 1000) n`);
  const recorded = new RecordedClient(t, url);
  const names = range(1, 1_000).map(String);
  for (const name of names) recorded.subscribe('/a', 0, name);
  await recorded.untilAt('/a', 1_000);
  const whole = range(1, 1_000).join();
  t.ok(names.every((name) => recorded.ids(name).join() === whole));
});

t.test('hundreds of channels', async (t) => {
  const { query, url } = await serveBus(t, { maxChannels: 400 });
  const channels = range(1, 400).map((n) => `/room/${n}`);
  const recorded = new RecordedClient(t, url);
  for (const channel of channels) recorded.subscribe(channel, 0);
  await query(`select message_bus.publish('/room/' || n % 400 + 1, to_jsonb(n)) from generate_series(1, 1200) n`);
  await until(() => channels.every((channel) => recorded.ids(channel).length === 3), 'all have come');
  t.ok(channels.every((channel) => recorded.ids(channel).join() === '1,2,3'));
});

t.test('a stream of one enormous frame', async (t) => {
  const { url } = await serveBus(t);
  const data = 'x'.repeat(64 << 20);
  const frame = new TextEncoder().encode(
    `${JSON.stringify([{ global_id: 1, message_id: 1, channel: '/a', data }])}\r\n|\r\n`,
  );
  let rest = frame;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      // As sockets hand it over.
      await setImmediate();
      controller.enqueue(rest.subarray(0, 16_384));
      rest = rest.subarray(16_384);
      if (rest.length === 0) controller.close();
    },
  });
  const answers = [new Response(body, { headers: { 'content-type': 'text/plain; charset=utf-8' } })];
  const recorded = new RecordedClient(t, url, { fetch: async (...args) => answers.shift() ?? fetch(...args) });
  recorded.subscribe('/a', 0);
  await until(() => recorded.ids('/a').length > 0, 'it has come');
  t.ok(recorded.data[0] === data);
});
