import t from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { form, send } from '../helpers/http.js';
import { listenAndLog } from '../helpers/logging-server.js';
import { listen, poll, stream } from '../helpers/server.js';
import { until } from '../helpers/until.js';
import { badNames } from './bad-names.js';

const { url: database } = await createDatabase(t);
const bus = openBus(t, database);
const { url } = await listen(t, { bus, maxChannels: 3 });
await bus.publish('/good', 'yes');
const yes = { global_id: 1, message_id: 1, channel: '/good', data: 'yes' };
const denied = (data: object) => ({ global_id: -1, message_id: -1, channel: '/__denied', data });

t.test('a poll that names what is no channel is given its good channels, and told of the others', async (t) => {
  for (const name of badNames) {
    const expected = [yes, denied(Object.fromEntries([[name, 'bad_channel']]))];
    t.strictSame(
      (
        await poll(
          url,
          Object.fromEntries([
            ['/good', 0],
            [name, 0],
          ]),
          { dlp: true },
        )
      ).messages,
      expected,
      name,
    );
    const body = `${encodeURIComponent(name)}=5&/good=0`;
    const { text } = await send(`${url}/message-bus/c/poll?dlp=t`, { headers: form, body });
    t.strictSame(JSON.parse(text), expected, name);
  }
});

t.test('a form with a name that is not encoded is given its good channels, and told of the others', async (t) => {
  for (const name of ['100%', '%zz', '/a%FF', '%C3', '/%ED%A0%80']) {
    for (const body of [`/good=0&${name}=5`, `${name}=5=6&/good=0`, `${name}&/good=0`]) {
      const { text } = await send(`${url}/message-bus/c/poll?dlp=t`, { headers: form, body });
      t.strictSame(JSON.parse(text), [yes, denied({ [name]: 'bad_channel' })], body);
    }
  }
});

t.test('channels above maxChannels are left out and told, the first ones are answered', async (t) => {
  const { messages } = await poll(url, { '/a': null, '/b': null, '/good': 0, '/c': 0, __d: 0 }, { dlp: true });
  t.strictSame(messages, [yes, denied({ '/c': 'too_many', __d: 'bad_channel' })]);
});

t.test('an id that is no number counts as -1: it is told where the channel is, and nothing is replayed', async (t) => {
  const status = [{ global_id: -1, message_id: -1, channel: '/__status', data: { '/good': 1 } }];
  for (const id of ['abc', '1.5', '1e3', '0x10', '12345678901234567', '--1', '+1', ' ', 'null', '١', '-'])
    t.strictSame((await poll(url, { '/good': id })).messages, status, id);
  for (const id of [1.5, true, [], [0], {}, { a: 1 }, 2 ** 53])
    t.strictSame((await poll(url, { '/good': id })).messages, status);
});

t.test('a stream is told with its first frame', async (t) => {
  const controller = new AbortController();
  const frames = stream(url, { '/quiet': null, __bad: 0 }, { signal: controller.signal });
  t.strictSame((await frames.next()).value, [denied({ __bad: 'bad_channel' })]);
  await bus.publish('/quiet', 1);
  t.match((await frames.next()).value, [{ channel: '/quiet' }]);
  controller.abort();
  await t.rejects(frames.next());
});

t.test('a poll that waits is not answered because of a bad name, and is told with what it is answered', async (t) => {
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 0, 'the stream before has ended');
  const waiting = poll(url, { '/slow': null, __bad: 0 }, { client: 'waits' });
  await until(() => internalsOf(bus).dispatcher.counts.cursors === 1, 'it waits');
  await bus.publish('/slow', 1);
  t.match((await waiting).messages, [{ channel: '/slow' }, denied({ __bad: 'bad_channel' })]);
  const { url: hasty } = await listen(t, { bus, longPollingInterval: 100 });
  t.strictSame((await poll(hasty, { '/slow': null, __bad: 0 })).messages, [denied({ __bad: 'bad_channel' })]);
});

t.test('what polls are not given is logged once a minute', async (t) => {
  const lines: { level: number; msg: string; channels: object }[] = [];
  const logger = { level: 'warn', stream: { write: (line: string) => void lines.push(JSON.parse(line)) } };
  const { url: logging } = await listenAndLog(t, { bus }, logger);
  for (let i = 0; i < 5; i++) await poll(logging, { '/good': 0, __bad: 0 }, { dlp: true });
  t.match(lines, [
    { level: 40, msg: 'a poll names channels that it is not given', channels: { __bad: 'bad_channel' } },
  ]);
  t.equal(lines.length, 1);
});
