import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { Arena } from '../arena.js';
import { withClient } from '../parts/client.js';
import { Skipped } from '../stage.js';
import type { Scenario } from './scenario.js';

export const queueFull: Scenario = {
  name: 'queue-full',
  title: 'The NOTIFY queue is full for seconds: publishers are refused at once, and go on when it is not',
  async run(stage) {
    // The least that Postgres takes: half a megabyte.
    const arena = await Arena.open(stage, { settings: { max_notify_queue_pages: '64' } }).catch((error) => {
      if (String(error).includes('max_notify_queue_pages')) throw new Skipped('needs Postgres 17 or newer');
      throw error;
    });
    await stage.keep(async () => {
      const culprit = new pg.Client({ connectionString: arena.postgres.url });
      culprit.on('error', () => {});
      await culprit.connect();
      // Listens to anything, and then sits in a transaction: the queue must keep everything for it.
      await culprit.query('listen chaos');
      await culprit.query('begin');
      await culprit.query('select 1');
      await fillQueue(arena.postgres.url);
      stage.made('times full');
      await delay(stage.random.between(500, 3_000));
      await culprit.end();
    }, 1_000);
    await arena.settle();
  },
};

/**
 * Notifies until Postgres refuses, a little at a time: what a transaction leaves in the queue that fails at its commit, Postgres
 * tells no listener of, and a whole queue of it would keep all of them behind.
 */
async function fillQueue(url: string): Promise<void> {
  await withClient(url, async (client) => {
    for (let isFull = false; !isFull; ) {
      const text = `select pg_notify('chaos', repeat('x', 7000) || random())`;
      isFull = await client.query(text).then(
        () => false,
        () => true,
      );
    }
  });
}
