import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { MessageBusClient } from '../../src/client/index.js';
import { RecordedClient, range } from '../helpers/recorded-client.js';
import { serveBus } from '../helpers/served-bus.js';
import { until } from '../helpers/until.js';

t.test('a pause holds messages back, each once', async (t) => {
  const { publish, url } = await serveBus(t);
  const recorded = new RecordedClient(t, url, { enableChunkedEncoding: false });
  const { client } = recorded;
  recorded.subscribe('/a', 0, '/a', (id) => {
    // In the middle of an answer.
    if (id === 2) client.pause();
  });
  recorded.subscribe('/a', 0, 'leaves');
  await publish('/a', 3);
  await until(() => client.status() === 'paused', 'it pauses');
  // Answers go on to come in.
  await publish('/a', 2);
  await recorded.untilAt('/a', 5);
  t.strictSame(recorded.ids('/a'), [1, 2]);
  client.unsubscribe('/a', client.callbacks[1]?.func);
  const left = recorded.ids('leaves').length;
  client.resume();
  t.equal(client.status(), 'started');
  t.strictSame(recorded.ids('/a'), [1, 2, 3, 4, 5], 'at once');
  t.equal(recorded.ids('leaves').length, left, 'nothing to those who left');
  await publish('/a', 1);
  await recorded.untilAt('/a', 6);
  t.strictSame(recorded.ids('/a'), range(1, 6));
});

t.test('callbacks that pause and resume are called one after the other', async (t) => {
  const { publish, url } = await serveBus(t);
  await publish('/a', 5);
  const recorded = new RecordedClient(t, url);
  const { client } = recorded;
  const depths: number[] = [];
  let depth = 0;
  recorded.subscribe('/a', 0, '/a', () => {
    depths.push(++depth);
    client.pause();
    client.resume();
    client.stop();
    client.start();
    depth--;
  });
  await until(() => depths.length >= 5, 'it has all');
  t.strictSame(depths, [1, 1, 1, 1, 1], 'not one in the other: of thousands, no stack is deep enough');
  t.strictSame(recorded.ids('/a'), range(1, 5));
});

t.test('callbacks are methods of their entry among the callbacks, as in the original', async (t) => {
  const { publish, url } = await serveBus(t);
  await publish('/a', 1);
  const recorded = new RecordedClient(t, url);
  const owners: unknown[] = [];
  recorded.client.subscribe(
    '/a',
    function (this: unknown) {
      owners.push(this);
    },
    0,
  );
  await until(() => owners.length > 0, 'it was called');
  t.equal(owners[0], recorded.client.callbacks[0]);
});

t.test('a setting that is undefined is left at its default', async (t) => {
  const client = new MessageBusClient({ maxPollInterval: undefined, baseUrl: '/bus' });
  t.match(client, { maxPollInterval: 180_000, baseUrl: '/bus' }, 'as a number of ms it would be none');
});

t.test('a long pause does not fill the memory', async (t) => {
  const { query, url } = await serveBus(t);
  const recorded = new RecordedClient(t, url, { enableChunkedEncoding: false });
  const { client } = recorded;
  recorded.subscribe('/a', 0);
  client.pause();
  t.capture(console, 'log', () => {});
  const publish = () => query(`select message_bus.publish('/a', to_jsonb(n)) from generate_series(1, 600) n`);
  await publish();
  await recorded.untilAt('/a', 600);
  await publish();
  await until(() => client.diagnostics().held >= 1_000, 'it holds enough');
  const polls = recorded.polls.length;
  await publish();
  await delay(100);
  t.equal(recorded.polls.length, polls, 'no more polls');
  client.resume();
  await recorded.untilAt('/a', 1_800);
  t.strictSame(recorded.ids('/a').slice(0, 1_200), range(1, 1_200), 'what was held');
});

t.test('start, stop, status', async (t) => {
  const { publish, url } = await serveBus(t);
  const recorded = new RecordedClient(t, url);
  const { client } = recorded;
  t.equal(client.status(), 'stopped');
  recorded.subscribe('/a', -1);
  t.equal(client.status(), 'started', 'subscribing starts');
  await recorded.untilAt('/a', 0);
  client.pause();
  t.equal(client.status(), 'paused');
  client.resume();
  client.stop();
  t.equal(client.status(), 'stopped');
  recorded.subscribe('/b', 0);
  t.equal(client.status(), 'stopped', 'but not after stop()');
  await publish('/a', 2);
  await publish('/b', 1);
  t.strictSame(recorded.ids('/a'), []);
  client.start();
  client.start();
  await recorded.untilAt('/a', 2);
  await recorded.untilAt('/b', 1);
  t.strictSame([recorded.ids('/a'), recorded.ids('/b')], [[1, 2], [1]], 'nothing is missed');

  // In the middle of an answer: what is left of it is for later.
  const stopping = new RecordedClient(t, url);
  stopping.subscribe('/a', 0, '/a', (id) => {
    if (id === 1) stopping.client.stop();
  });
  await until(() => stopping.ids('/a').length > 0, 'it stops itself');
  await publish('/a', 1);
  t.strictSame(stopping.ids('/a'), [1]);
  stopping.client.start();
  await stopping.untilAt('/a', 3);
  t.strictSame(stopping.ids('/a'), [1, 2, 3]);
});

t.test('unsubscribing', async (t) => {
  const { publish, url } = await serveBus(t);
  const recorded = new RecordedClient(t, url);
  const { client } = recorded;
  const funcs = ['/room/1', '/room/2', '/rooms', '/other'].map((channel) => recorded.subscribe(channel, 0));
  t.equal(client.unsubscribe('/nowhere'), false);
  t.equal(client.unsubscribe('/room/*', funcs[0]), true);
  t.strictSame(recorded.positions('/room/1'), []);
  t.equal(client.unsubscribe('/room*'), true);
  t.strictSame(
    client.callbacks.map(({ channel }) => channel),
    ['/other'],
  );
  await publish('/other', 1);
  await recorded.untilAt('/other', 1);
  t.equal(client.unsubscribe('/other', null), true, 'null is no callback');
  recorded.subscribe('/other', 1);
  t.equal(client.unsubscribe('*'), true);
  const polls = recorded.polls.length;
  await delay(50);
  t.equal(recorded.polls.length, polls, 'with nothing to ask for, it does not');
  recorded.subscribe('/other', 0);
  await recorded.untilAt('/other', 1);
});

t.test('arguments that make no sense are refused', async (t) => {
  const { client } = new RecordedClient(t, 'http://127.0.0.1:1');
  client.stop();
  const refuse = (...args: unknown[]) =>
    t.throws(() => Reflect.apply(client.subscribe, client, args), { name: 'TypeError', message: /^MessageBus: / });
  for (const channel of [undefined, null, 7, '', '__chat', '/__chat', '/__status', '/a\n', `/${'x'.repeat(255)}`]) {
    refuse(channel, () => {});
  }
  refuse('/a');
  refuse('/a', 'callback');
  for (const lastId of ['5', 1.5, Number.NaN, {}, true]) refuse('/a', () => {}, lastId);
  t.strictSame(client.callbacks, []);
});
