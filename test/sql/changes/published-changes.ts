import type { Test } from 'tap';
import { createDatabase, type TestDatabase } from '../../helpers/database.js';
import { openSession, type Session } from '../session.js';

export interface Published {
  channel: string;
  data: Record<string, unknown>;
  user_ids: string[] | null;
  group_ids: string[] | null;
  site_id: string | null;
}

/** A session that runs SQL, and what its statements have published. */
export interface ChangesSession extends Session {
  database: TestDatabase;
  run: (sql: string) => Promise<unknown>;
  /** What has been published since the last call, in the order of global ids. */
  published: () => Promise<Published[]>;
  /** Of those, the channels and data. */
  changes: () => Promise<[string, Record<string, unknown>][]>;
  /** Messages of level WARNING and NOTICE since the session began. */
  told: string[];
}

export async function openChanges(t: Test, sql: string): Promise<ChangesSession> {
  const database = await createDatabase(t);
  const session = await openSession(t, database.url);
  const told: string[] = [];
  session.client.on('notice', ({ severity, message }) => told.push(`${severity}: ${message}`));
  let seen = 0;
  const published = async () => {
    const rows = await database.query<Published & { global_id: string }>(
      'select global_id, channel, data, user_ids, group_ids, site_id from message_bus.global_backlog($1)',
      [seen],
    );
    seen = Number(rows.at(-1)?.global_id ?? seen);
    return rows.map(({ global_id, ...rest }) => rest);
  };
  const run = (text: string) => session.client.query(text);
  await run(sql);
  return {
    ...session,
    database,
    run,
    published,
    told,
    changes: async () => (await published()).map(({ channel, data }) => [channel, data]),
  };
}
