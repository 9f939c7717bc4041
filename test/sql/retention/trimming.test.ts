import t from 'tap';
import { createDatabase } from '../../helpers/database.js';
import { openSession, openSessions, type Session } from '../session.js';

const random = (from: number, to: number) => from + Math.floor(Math.random() * (to - from + 1));

/** Works in a loop until the others are done. */
async function repeat(work: () => Promise<void>, others: Promise<unknown>): Promise<number> {
  let done = false;
  const end = () => {
    done = true;
  };
  others.then(end, end);
  let rounds = 0;
  for (; !done; rounds++) await work();
  return rounds;
}

async function read(session: Session, channel: string): Promise<{ lastId: number; ids: number[] }> {
  const [row] = await session.rows(
    `select message_bus.last_id($1) as last_id, array(select message_id from message_bus.backlog($1)) as ids`,
    [channel],
  );
  return { lastId: Number(row?.last_id), ids: Array.isArray(row?.ids) ? row.ids : [] };
}

/** The last few messages without a gap: what a backlog has to be, whatever goes on. */
function isTail({ lastId, ids }: { lastId: number; ids: number[] }, size: number): boolean {
  const length = Math.min(size, lastId);
  return ids.length === length && ids.every((id, i) => id === lastId - length + 1 + i);
}

async function publishSome({ value }: Session, channel: string, sizes: () => number | null): Promise<void> {
  if (random(1, 3) > 1) {
    await value(`select message_bus.publish($1, '0', max_backlog_size => $2)`, [channel, sizes()]);
  } else {
    const messages = Array.from({ length: random(1, 12) }, () => ({ channel, data: 0, max_backlog_size: sizes() }));
    await value('select message_bus.publish_many($1)', [JSON.stringify(messages)]);
  }
}

t.test('many writers on few channels: readers see the limit and no more, other channels nothing', async (t) => {
  const { url } = await createDatabase(t);
  const [reader, windowReader, ...writers] = await openSessions(t, url, 14);
  if (!reader || !windowReader) throw new Error('no session');
  await reader.value(
    'select message_bus.configure(clear_every => 3, max_backlog_size => 5, max_global_backlog_size => 9)',
  );
  await reader.value(`select message_bus.publish('/quiet', '0') from generate_series(1, 7)`);

  const channels = ['/a', '/b'];
  const work = Promise.all(
    writers.map(async (session) => {
      for (let i = 0; i < 250; i++) await publishSome(session, channels[i % 2] ?? '', () => null);
    }),
  );
  const windowRounds = repeat(async () => {
    const [row] = await windowReader.rows(
      'select array(select global_id from message_bus.global_backlog()) as ids, (select max(global_id) from message_bus.global_ring) as last',
    );
    const ids = Array.isArray(row?.ids) ? row.ids.map(Number) : [];
    // What the channels no longer hold is not in the window either.
    const last = Number(row?.last);
    if (ids.length === 0 || ids.at(-1) !== last || ids.some((id) => id <= last - 9)) t.fail(`${ids} of ${last}`);
  }, work);
  const rounds = await repeat(async () => {
    for (const channel of channels) {
      const seen = await read(reader, channel);
      if (!isTail(seen, 5)) t.fail(`${channel}: ${JSON.stringify(seen)}`);
    }
    const quiet = await read(reader, '/quiet');
    if (!isTail(quiet, 5) || quiet.lastId !== 7) t.fail(`/quiet: ${JSON.stringify(quiet)}`);
  }, work);
  await work;
  t.ok(rounds > 20 && (await windowRounds) > 20, `read ${rounds} times`);
});

t.test('sizes that change all the time', async (t) => {
  const { url } = await createDatabase(t);
  const [reader, settings, ...writers] = await openSessions(t, url, 12);
  if (!reader || !settings) throw new Error('no session');
  await reader.value(
    `select message_bus.publish('/quiet', to_jsonb(i), max_backlog_size => 3) from generate_series(1, 3) i`,
  );
  await reader.value('select message_bus.configure(clear_every => 2, max_backlog_size => 10)');

  const sizes = () => (random(0, 1) ? null : random(1, 30));
  const work = Promise.all(
    writers.map(async (session) => {
      for (let i = 0; i < 200; i++) await publishSome(session, '/a', sizes);
    }),
  );
  const changes = repeat(async () => {
    await settings.value('select message_bus.configure($1, $2, $3)', [random(1, 5), random(1, 20), random(1, 30)]);
  }, work);
  const rounds = await repeat(async () => {
    const seen = await read(reader, '/a');
    if (seen.ids.length > 30 || !isTail(seen, seen.ids.length) || (seen.lastId > 0 && seen.ids.length === 0))
      t.fail(`/a: ${JSON.stringify(seen)}`);
    const quiet = await reader.column(`select data from message_bus.backlog('/quiet')`);
    if (String(quiet) !== '1,2,3') t.fail(`/quiet: ${quiet}`);
  }, work);
  await work;
  t.ok(rounds > 20 && (await changes) > 20, `read ${rounds} times`);
});

t.test('all backlogs expire again and again while others publish: nothing published after is lost', async (t) => {
  const { url } = await createDatabase(t);
  const [expirer, settings, ...writers] = await openSessions(t, url, 14);
  if (!expirer || !settings) throw new Error('no session');
  await expirer.value('select message_bus.configure(clear_every => 3, max_backlog_size => 4)');
  const work = Promise.all(
    writers.map(async (session, i) => {
      for (let round = 0; round < 150; round++) {
        if (round % 5 === 0) {
          await session.client.query('begin');
          for (let k = 0; k < 6; k++) await session.value(`select message_bus.publish($1, '0')`, [`/${i % 3}`]);
          await session.client.query(round % 2 ? 'rollback' : 'commit');
        } else await publishSome(session, `/${i % 3}`, () => null);
      }
    }),
  );
  const changes = repeat(async () => {
    await settings.value('select message_bus.configure(max_global_backlog_size => $1)', [random(500, 1000)]);
  }, work);
  const rounds = await repeat(async () => {
    await expirer.value('select message_bus.expire_all_backlogs()');
    const id = await expirer.value(`select message_bus.publish('/probe', '0')`);
    const probes = await expirer.column(`select message_id from message_bus.backlog('/probe')
      union all select message_id from message_bus.global_backlog() where channel = '/probe'`);
    if (String(probes) !== `${id},${id}`) t.fail(`published ${id}, seen ${probes}`);
  }, work);
  await work;
  t.ok(rounds > 20 && (await changes) > 20, `expired ${rounds} times`);

  // From the last time on.
  const session = await openSession(t, url);
  await session.value('select message_bus.expire_all_backlogs()');
  const before = await session.value(`select message_bus.last_ids('{/0,/1,/2}')`);
  await Promise.all(writers.slice(0, 3).map((writer, i) => publishSome(writer, `/${i}`, () => 100)));
  for (const [i, last] of (Array.isArray(before) ? before : []).entries()) {
    const { lastId, ids } = await read(session, `/${i}`);
    t.ok(lastId > last && isTail({ lastId, ids }, lastId - last), `/${i}: what came after`);
  }
});
