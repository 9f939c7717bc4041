import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { RecordedClient, range } from '../helpers/recorded-client.js';
import { listen } from '../helpers/server.js';
import { until } from '../helpers/until.js';

async function serve(t: Test, prefix = '/') {
  const { url: database } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, { bus, prefix, userIdLookup: (request) => request.headers['x-user']?.toString() });
  return { bus, url };
}

t.test('many messages on one stream', async (t) => {
  const { bus, url } = await serve(t);
  const recorded = new RecordedClient(t, url);
  recorded.subscribe('/a', 0);
  for (const n of range(1, 50)) {
    await bus.publish('/a', { n });
    if (n === 1) await recorded.untilAt('/a', 1);
  }
  await recorded.untilAt('/a', 50);
  t.equal(recorded.polls.length, 1);
  t.equal(recorded.polls[0]?.query, '');
  t.notOk(recorded.polls[0]?.headers.has('dont-chunk'));
  t.strictSame(
    recorded.data,
    range(1, 50).map((n) => ({ n })),
  );
});

t.test('enableChunkedEncoding off: an answer for each message', async (t) => {
  const { bus, url } = await serve(t);
  const recorded = new RecordedClient(t, url, { enableChunkedEncoding: false });
  recorded.subscribe('/a', -1);
  for (const n of range(0, 4)) {
    await recorded.untilAt('/a', n);
    await bus.publish('/a', n);
  }
  await recorded.untilAt('/a', 5);
  t.ok(recorded.polls.length >= 6);
  for (const { query, headers } of recorded.polls) t.strictSame([query, headers.get('dont-chunk')], ['', 'true']);
  t.strictSame(
    recorded.polls.map(({ body }) => body.__seq),
    recorded.polls.map((_, i) => String(i + 1)),
    'numbered',
  );
});

t.test('enableLongPolling off: polls that do not wait, backgroundCallbackInterval apart', async (t) => {
  const { bus, url } = await serve(t);
  const recorded = new RecordedClient(t, url, { enableLongPolling: false, backgroundCallbackInterval: 150 });
  recorded.subscribe('/a', 0);
  for (const n of range(1, 3)) await recorded.untilAt('/a', await bus.publish('/a', n));
  t.ok(recorded.polls.length >= 3);
  for (const [i, { query, headers, at }] of recorded.polls.entries()) {
    t.strictSame([query, headers.get('dont-chunk')], ['?dlp=t', 'true']);
    if (i > 0) t.ok(at - (recorded.polls[i - 1]?.at ?? 0) > 145);
  }
});

t.test('headers go with each poll, baseUrl with and without a slash at its end', async (t) => {
  const { bus, url } = await serve(t, '/bus');
  for (const baseUrl of [`${url}/bus`, `${url}/bus/`]) {
    const recorded = new RecordedClient(t, baseUrl, { headers: { 'X-User': 'ann' } });
    recorded.subscribe('/inbox', -1);
    await recorded.untilAt('/inbox', await bus.lastId('/inbox'));
    await bus.publish('/inbox', 'secret', { userIds: ['bob'] });
    await recorded.untilAt('/inbox', await bus.publish('/inbox', 'hello', { userIds: ['ann'] }));
    t.strictSame(recorded.data, ['hello']);
  }
});

t.test('a message for this client alone', async (t) => {
  const { bus, url } = await serve(t);
  const [one, other] = [new RecordedClient(t, url), new RecordedClient(t, url)];
  for (const recorded of [one, other]) {
    recorded.subscribe('/a', -1);
    await recorded.untilAt('/a', 0);
  }
  await bus.publish('/a', 'for one', { clientIds: [one.client.clientId] });
  const last = await bus.publish('/a', 'for all');
  for (const recorded of [one, other]) await recorded.untilAt('/a', last);
  t.strictSame([one.data, other.data], [['for one', 'for all'], ['for all']]);
});

t.test('what changes counts from the next poll on', async (t) => {
  const { bus, url } = await serve(t);
  const recorded = new RecordedClient(t, url);
  recorded.subscribe('/a', -1);
  await recorded.untilAt('/a', 0);
  recorded.client.enableChunkedEncoding = false;
  recorded.client.shouldLongPollCallback = () => false;
  recorded.subscribe('/b', -1);
  await recorded.untilAt('/b', 0);
  t.equal(recorded.polls.at(-1)?.query, '?dlp=t');
  // One that fails does not stop the client.
  const complaints: unknown[][] = [];
  t.capture(console, 'error', (...args: unknown[]) => complaints.push(args));
  recorded.client.shouldLongPollCallback = () => {
    throw new Error('no idea');
  };
  recorded.subscribe('/c', -1);
  await recorded.untilAt('/c', 0);
  t.equal(recorded.polls.at(-1)?.query, '');
  t.match(complaints[0], ['MessageBus: shouldLongPollCallback failed.', { message: 'no idea' }]);
  await recorded.untilAt('/a', await bus.publish('/a', 1));
});

t.test('to subscribe again and again does not put polls off', async (t) => {
  const { url } = await serve(t);
  const recorded = new RecordedClient(t, url, { minPollInterval: 100 });
  await until(() => {
    recorded.subscribe('/a', 0);
    return recorded.polls.length >= 3;
  }, 'it polls');
  for (const [i, { at }] of recorded.polls.entries()) {
    if (i > 0) t.ok(at - (recorded.polls[i - 1]?.at ?? 0) > 95, 'nor closer than minPollInterval');
  }
});

t.test('diagnostics', async (t) => {
  const { bus, url } = await serve(t);
  const shown: unknown[][] = [];
  t.capture(console, 'log', (...args: unknown[]) => shown.push(args));
  const recorded = new RecordedClient(t, url);
  t.equal(recorded.client.diagnostics().secondsSinceLastPoll, undefined);
  recorded.subscribe('/a', 0);
  await recorded.untilAt('/a', await bus.publish('/a', 1));
  const diagnostics = recorded.client.diagnostics();
  t.match(diagnostics, { status: 'started', failures: 0, recentFailures: 0, lastError: undefined, held: 0 });
  t.match(diagnostics, { clientId: /^[0-9a-f]{32}$/, callbacks: [{ channel: '/a', last_id: 1 }] });
  t.equal(diagnostics.polls, recorded.polls.length);
  t.type(diagnostics.secondsSinceLastPoll, 'number');
  t.strictSame(shown.at(-1), ['MessageBus:', diagnostics]);
});

t.test('a process ends when its client has stopped, or has nothing left to ask for', async (t) => {
  const { bus, url } = await serve(t);
  await bus.publish('/a', 'hello');
  for (const ending of ['client.stop()', "client.unsubscribe('/a')"]) {
    const program = `
      import { MessageBusClient } from 'postbus/client';
      const client = new MessageBusClient({ baseUrl: ${JSON.stringify(url)} });
      client.subscribe('/a', (data) => { console.log(data); ${ending}; }, 0);`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: 'pipe' });
    t.teardown(() => child.kill());
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
      });
    }
    const ended = once(child, 'close');
    await until(() => child.exitCode !== null, `the process ends by ${ending}`);
    await ended;
    t.equal(output, 'hello\n');
    t.equal(child.exitCode, 0);
  }
});
