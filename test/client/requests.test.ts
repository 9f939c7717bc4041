import t from 'tap';
import { MessageBusClient } from '../../src/client/index.js';
import { RecordedClient } from '../helpers/recorded-client.js';
import { serveBus } from '../helpers/served-bus.js';
import { poll } from '../helpers/server.js';

t.test('a client id reaches the server as it is, whatever characters it has', async (t) => {
  const { bus, url } = await serveBus(t);
  const ids = ['user/42', '/', 'a//b/', '100%', '%2F', 'a b?c#d', 'Zoë 👩‍🚀', '...', '__proto__', 'x'.repeat(255)];
  for (const id of [...ids, 42]) {
    const recorded = new RecordedClient(t, url);
    recorded.client.clientId = id;
    t.equal(recorded.client.clientId, `${id}`);
    const from = await bus.lastId('/a');
    recorded.subscribe('/a', from);
    await bus.publish('/a', 'for this client', { clientIds: [id] });
    await bus.publish('/a', 'for another one', { clientIds: [`${id}!`] });
    await recorded.untilAt('/a', await bus.publish('/a', 'for all'));
    t.strictSame(recorded.data, ['for this client', 'for all'], `${id}`);
    recorded.client.stop();
  }
});

t.test('what cannot be a client id is refused when it is set', async (t) => {
  const client = new MessageBusClient();
  const before = client.clientId;
  for (const id of [
    '',
    '.',
    '..',
    'a\nb',
    '\0',
    '\ud800',
    'x'.repeat(256),
    undefined,
    null,
    NaN,
    1.5,
    {},
    ['a'],
    Promise.resolve('a'),
    true,
  ]) {
    t.throws(() => Object.assign(client, { clientId: id }), { name: 'TypeError', message: /^MessageBus: / });
  }
  t.equal(client.clientId, before);
});

t.test('the client id ends at the first slash of the path that is not encoded, under any prefix', async (t) => {
  for (const prefix of ['', '/bus', '/:tenant/bus']) {
    const { bus, url } = await serveBus(t, { prefix });
    const base = `${url}${prefix.replace(':tenant', 'acme')}`;
    await bus.publish('/a', 1, { clientIds: ['user/42'] });
    const messages = async (client: string) => (await poll(base, { '/a': 0 }, { client, dlp: true })).messages;
    for (const path of ['user%2F42', 'user%2f42', 'user%2F42/more/parts']) {
      t.equal((await messages(path))[0]?.data, 1, `${prefix} ${path}`);
    }
    for (const path of ['user', 'user/42', 'user/42%2F', '42%2Fuser']) {
      t.equal((await messages(path))[0]?.channel, '/__status', `${prefix} ${path}`);
    }
  }
});

t.test('headers that are undefined or null are left out', async (t) => {
  const { url } = await serveBus(t);
  for (const enableChunkedEncoding of [true, false]) {
    const headers = { 'X-Token': undefined, 'X-None': null, 'X-User': 'ann', 'X-Empty': '' };
    const recorded = new RecordedClient(t, url, { headers, enableChunkedEncoding });
    recorded.subscribe('/a');
    await recorded.untilAt('/a', 0);
    const sent = Object.fromEntries(recorded.polls[0]?.headers ?? []);
    t.strictSame(sent, { 'x-user': 'ann', 'x-empty': '', ...(enableChunkedEncoding ? {} : { 'dont-chunk': 'true' }) });
    recorded.client.headers = { 'X-User': undefined };
    recorded.subscribe('/b');
    await recorded.untilAt('/b', 0);
    t.notOk(recorded.polls.at(-1)?.headers.has('x-user'));
    recorded.client.stop();
  }
});
