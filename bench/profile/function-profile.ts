import pg from 'pg';
import type { Profile } from '../measurement.js';

const rows = 8;

/** The functions of the bus by the time they take themselves, as Postgres counts it for sessions that begin in `work`. */
export async function profileFunctions(url: string, of: string, work: () => Promise<unknown>): Promise<Profile> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await setTracking(client, 'all');
    await client.query('select pg_stat_reset()');
    await work();
    // What sessions counted is handed in when they end, a moment after they were told to.
    const { rows: functions } = await client.query<{ name: string; calls: string; us: number }>(
      `select funcname as name, calls, self_time * 1000 / calls as us
         from pg_stat_user_functions where calls > 0 order by self_time desc limit ${rows}`,
    );
    const total = functions.reduce((sum, { calls, us }) => sum + Number(calls) * us, 0);
    return {
      of,
      shares: functions.map(({ calls, name, us }) => [
        `${name}(), ${us.toFixed(1)} µs a call`,
        (Number(calls) * us) / total,
      ]),
    };
  } finally {
    await setTracking(client, 'none').finally(() => client.end());
  }
}

async function setTracking(client: pg.Client, what: 'all' | 'none'): Promise<void> {
  const { rows } = await client.query<{ name: string }>('select quote_ident(current_database()) as name');
  await client.query(`alter database ${rows[0]?.name} set track_functions = '${what}'`);
}
