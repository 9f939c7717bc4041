import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { createDatabase } from '../../helpers/database.js';
import { openSession, openSessions, type Session } from '../session.js';

const publishers = 16;
const messagesEach = 1500;
const places: Place[] = ['/a', '/b', '/c', '/global/d'].flatMap((channel) => [
  { channel, site: null },
  { channel, site: 's' },
]);

interface Place {
  channel: string;
  site: string | null;
}

interface Message {
  place: string;
  id: number;
  data: string;
}

t.test(
  'under many publishers and rollbacks, readers who ask for what came after get all, once, in order',
  async (t) => {
    const { url } = await createDatabase(t);
    const sessions = await openSessions(t, url, publishers);
    await sessions[0]?.value(
      'select message_bus.configure(max_backlog_size => 100000, max_global_backlog_size => 100000)',
    );

    let publishing = true;
    const names = [...new Set(places.map(nameOf))];
    const readers = names.map((name) => {
      const [site, channel] = name.split(' ');
      const text = `select message_id as id, data #>> '{}' as data from message_bus.backlog($2, $1, $3)`;
      return follow(t, url, text, [channel ?? '', site || null], () => publishing);
    });
    const globalReader = follow(
      t,
      url,
      `select global_id as id, data #>> '{}' as data, channel, site_id as site from message_bus.global_backlog($1)`,
      [],
      () => publishing,
    );
    const acknowledged = (await Promise.all(sessions.map(publishAll))).flat();
    publishing = false;

    const global = await globalReader;
    t.ok(gapless(global), 'over all channels none is skipped, none comes twice, all are in order');
    t.equal(global.length, acknowledged.length);
    for (const [i, name] of names.entries()) {
      const rows = (await readers[i]) ?? [];
      t.ok(gapless(rows), `${name}: none is skipped, none comes twice, all are in order`);
      const mine = acknowledged.filter(({ place }) => place === name).sort((a, b) => a.id - b.id);
      t.ok(mine.length > 100);
      t.strictSame(contents(rows), contents(mine), `${name}: what was acknowledged, under its id, and nothing else`);
      t.strictSame(
        contents(global.filter(({ place }) => place === name)),
        contents(rows),
        `${name}: the same among all`,
      );
    }
  },
);

/** Asks for what came after the last, again and again, and once more when the publishers are done. */
async function follow(
  t: Test,
  url: string,
  text: string,
  values: (string | null)[],
  publishing: () => boolean,
): Promise<Message[]> {
  const session = await openSession(t, url);
  const rows: Message[] = [];
  for (let more = true; more; ) {
    more = publishing();
    for (const row of await session.rows(text, [rows.at(-1)?.id ?? 0, ...values])) {
      const place = nameOf({ channel: String(row.channel), site: row.site ? String(row.site) : null });
      rows.push({ id: Number(row.id), data: String(row.data), place });
    }
    await pause();
  }
  return rows;
}

async function publishAll(session: Session, publisher: number): Promise<Message[]> {
  const acknowledged: Message[] = [];
  let sent = 0;
  const compose = (place: Place) => ({ channel: place.channel, site_id: place.site, data: `${publisher} ${sent++}` });
  const publish = async (place: Place): Promise<Message> => {
    const { channel, site_id, data } = compose(place);
    const id = await session.value('select message_bus.publish($1, $2, site_id => $3)', [
      channel,
      JSON.stringify(data),
      site_id,
    ]);
    return { place: nameOf(place), id: Number(id), data };
  };
  const publishMany = async (): Promise<Message[]> => {
    const chosen = Array.from({ length: 1 + random(8) }, anyPlace);
    const messages = chosen.map(compose);
    const ids = await session.column('select unnest(message_bus.publish_many($1))', [JSON.stringify(messages)]);
    return chosen.map((place, i) => ({ place: nameOf(place), id: Number(ids[i]), data: messages[i]?.data ?? '' }));
  };
  const transaction = async (work: () => Promise<Message[]>, end: 'commit' | 'rollback') => {
    await session.client.query('begin');
    const published = await work();
    await pause();
    await session.client.query(end);
    if (end === 'commit') acknowledged.push(...published);
  };
  // Several messages to one channel, some of them taken back.
  const several = async (): Promise<Message[]> => {
    const place = anyPlace();
    const published = [await publish(place)];
    await session.client.query('savepoint s');
    await publish(place);
    await session.client.query('rollback to s');
    published.push(await publish(place));
    return published;
  };

  while (sent < messagesEach) {
    const dice = random(20);
    if (dice < 1) await transaction(several, 'rollback');
    else if (dice < 2) await transaction(publishMany, 'rollback');
    else if (dice < 4) await transaction(several, 'commit');
    else if (dice < 7) acknowledged.push(...(await publishMany()));
    else acknowledged.push(await publish(anyPlace()));
    await pause();
  }
  return acknowledged;
}

function pause(): Promise<void> {
  return random(2) ? delay(random(3)) : Promise.resolve();
}

function random(below: number): number {
  return Math.floor(Math.random() * below);
}

function anyPlace(): Place {
  return places[random(places.length)] ?? { channel: '/a', site: null };
}

/** The site and the channel; none for channels that belong to no site. */
function nameOf({ channel, site }: Place): string {
  return `${channel.startsWith('/global/') ? '' : (site ?? '')} ${channel}`;
}

function gapless(rows: readonly Message[]): boolean {
  return rows.every(({ id }, i) => id === i + 1);
}

function contents(rows: readonly Message[]): string[] {
  return rows.map(({ data }) => data);
}
