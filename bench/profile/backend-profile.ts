import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Profile } from '../measurement.js';

const rows = 8;
const everyMs = 5;

/** What the sessions of a database that have a statement under way are doing while `work` goes on. */
export async function profileBackends(url: string, of: string, work: () => Promise<unknown>): Promise<Profile> {
  const client = new pg.Client(url);
  await client.connect();
  const counts = new Map<string, number>();
  const stop = new AbortController();
  const sampling = sample(client, counts, stop.signal);
  try {
    await work();
  } finally {
    stop.abort();
    await sampling.finally(() => client.end());
  }
  return { of, shares: sharesOf(counts) };
}

async function sample(client: pg.Client, counts: Map<string, number>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const { rows } = await client.query<{ what: string }>(
      `select coalesce(wait_event_type || ': ' || wait_event, 'running') as what from pg_stat_activity
        where datname = current_database() and state = 'active' and pid <> pg_backend_pid()`,
    );
    for (const { what } of rows) counts.set(what, (counts.get(what) ?? 0) + 1);
    await sleep(everyMs);
  }
}

function sharesOf(counts: Map<string, number>): Profile['shares'] {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  return [...counts]
    .sort(([, one], [, other]) => other - one)
    .slice(0, rows)
    .map(([what, count]) => [what, count / total]);
}
