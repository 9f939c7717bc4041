import t from 'tap';
import { internalsOf } from '../../src/bus/internals.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { form, send } from '../helpers/http.js';
import { listen, poll, stream, type WireMessage } from '../helpers/server.js';
import { until } from '../helpers/until.js';

// Names that would be the same if somebody folded case, composed characters, decoded once too often, resolved paths,
// or kept them as keys of an object.
const sites = [
  'one',
  'One',
  'one ',
  'oné',
  'one\u0301',
  'one%2F',
  'one/',
  '/a',
  '/global/',
  '__proto__',
  'constructor',
];
const local = ['/a', '/A', '/a/', '//a', '/a%2F', '/a%09', '/a ', '/\u00e9', '/e\u0301', '/a/__proto__', '/one/a'];
const nearlyGlobal = ['/global', '/Global/a', '/global%2Fa', '/ global/a', '/../global/a', '//global/a', '/globals/a'];
const global = ['/global/a', '/global/../a', '/global//a', '/global/__proto__'];
const channels = [...local, ...nearlyGlobal, ...global];
const places = [...sites, undefined];

t.test('whatever sites and channels are called, each site gets what is its own, and what is for all', async (t) => {
  const { url: database } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, { bus, siteIdLookup: ({ headers }) => places[Number(headers['x-place'])] });
  const as = (place: number) => ({ client: `c${place}`, headers: { 'x-place': String(place) } });
  const publishAll = (round: string) =>
    Promise.all(
      places.flatMap((siteId, place) => channels.map((name) => bus.publish(name, `${round} ${place}`, { siteId }))),
    );
  const from = (id: number) =>
    Object.fromEntries(channels.map((name) => [name, global.includes(name) ? places.length * id : id]));
  const expected = (round: string, place: number) =>
    channels.flatMap((name) =>
      (global.includes(name) ? places.map((_, i) => i) : [place]).map((i) => `${name} ${round} ${i}`),
    );
  const told = (messages: readonly WireMessage[]) => messages.map(({ channel, data }) => `${channel} ${data}`).sort();

  const heard = places.map((): string[] => []);
  for (const [place, siteId] of places.entries()) {
    for (const name of channels) {
      await bus.subscribe(name, ({ channel, data }) => heard[place]?.push(`${channel} ${data}`), { siteId });
    }
  }
  await publishAll('first');
  for (const [place, siteId] of places.entries()) {
    const wanted = expected('first', place).sort();
    t.strictSame(
      told((await poll(url, from(0), { ...as(place), dlp: true })).messages),
      wanted,
      `backlog of ${siteId}`,
    );
    const body = channels.map((name) => `${encodeURIComponent(name)}=0`).join('&');
    const answer = await send(`${url}/message-bus/form/poll?dlp=t`, {
      headers: { ...form, ...as(place).headers },
      body,
    });
    t.strictSame(told(JSON.parse(answer.text)), wanted, 'asked for by form');
    const backlogs = await Promise.all(channels.map((name) => bus.backlog(name, 0, { siteId })));
    t.strictSame(told(backlogs.flat().map((m) => ({ ...m, global_id: 0, message_id: 0 }))), wanted, 'in Node');
    await until(() => heard[place]?.length === wanted.length, 'subscriptions have heard it');
    t.strictSame(heard[place]?.sort(), wanted, 'by subscription');
  }

  const cursors = internalsOf(bus).dispatcher.counts.cursors;
  const streamed = places.map(async (_, place) => {
    const messages: WireMessage[] = [];
    for await (const frame of stream(url, from(1), as(place))) {
      messages.push(...frame);
      if (messages.length > expected('second', place).length) break;
    }
    return told(messages.filter(({ data }) => data !== 'end'));
  });
  await until(
    () => internalsOf(bus).dispatcher.counts.cursors === cursors + places.length * channels.length,
    'the streams wait',
  );
  await publishAll('second');
  // One more message: what a stream should not have got would be in its place.
  for (const siteId of places) await bus.publish('/a', 'end', { siteId });
  for (const [place, siteId] of places.entries()) {
    t.strictSame(await streamed[place], expected('second', place).sort(), `stream of ${siteId}`);
  }
});
