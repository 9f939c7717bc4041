import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createBus } from '../../../src/index.js';
import { Arena, type ArenaOptions } from '../arena.js';
import { Backup, type Filling } from '../parts/backup.js';
import type { ChaosPostgres } from '../parts/postgres.js';
import { swapDatabase } from '../parts/swap-database.js';
import type { Stage } from '../stage.js';
import type { Scenario } from './scenario.js';

/** One way to make a backup and to get back to it, under running nodes. */
interface Way {
  readonly options?: ArenaOptions;
  save(postgres: ChaosPostgres): Promise<void>;
  restore(postgres: ChaosPostgres): Promise<void>;
}

/**
 * What was published after the backup is gone by right. The tables say what there is, and from the moment when they came back
 * the accounts are exact again.
 */
async function run(stage: Stage, makeWay: (stage: Stage) => Way): Promise<void> {
  const way = makeWay(stage);
  // A client that is sent from node to node may get messages twice until all nodes have found out, see docs/decisions/003.
  const arena = await Arena.open(stage, { isSticky: true, ...way.options });
  const load = () => delay(Math.max(1, stage.seconds / 6) * 1_000);
  await load();
  await stage.keep(async () => {
    await arena.settle();
    await way.save(arena.postgres);
    arena.publish();
    await load();
    await arena.settle();
    await way.restore(arena.postgres);
    stage.made('restores');
    await arena.beginAnew();
    // At once: whoever waits for the next message must not miss it.
    arena.publish();
    await load();
  });
  await arena.settle();
  for (const reader of arena.readers) {
    const isSubscriber = reader.isOnServer && reader.places === undefined && !reader.name.startsWith('follower');
    if (isSubscriber && reader.gaps.length === 0) stage.complain(`${reader.name} was not told that ids went back`);
  }
}

/** Rows come back over connections that stay. */
function fill(filling: Filling): (stage: Stage) => Way {
  return () => ({
    save: (postgres) => new Backup(postgres).take(),
    restore: (postgres) => new Backup(postgres).restore(filling),
  });
}

const swap = (): Way => ({
  save: (postgres) => swapDatabase(postgres, 'keep a copy'),
  restore: (postgres) => swapDatabase(postgres, 'take the copy'),
});

function copyFiles(stage: Stage): Way {
  const copy = join(stage.folder(), 'copy');
  return {
    async save(postgres) {
      await postgres.stop();
      execFileSync('rm', ['-rf', copy]);
      execFileSync('cp', ['-a', postgres.data, copy]);
      await postgres.start();
    },
    async restore(postgres) {
      await postgres.stop();
      execFileSync('rm', ['-rf', postgres.data]);
      execFileSync('cp', ['-a', copy, postgres.data]);
      await postgres.start();
    },
  };
}

/** A bus that was never this one, with its own secret and its own messages. */
const otherBus = (): Way => ({
  options: {
    async prepare(postgres) {
      await postgres.query(`select message_bus.publish((array['/a', '/b', '/global/news'])[1 + i % 3],
        jsonb_build_object('tag', 'other-' || i)) from generate_series(1, 300) i`);
      await new Backup(postgres).take();
      await postgres.query('drop schema message_bus cascade');
      const bus = createBus({ connectionString: postgres.url });
      await bus.migrate();
      await bus.close();
    },
  },
  save: async () => {},
  async restore(postgres) {
    await new Backup(postgres).restore('drop the schema');
    // Its dump was another schema's once; what the application has with the bus is there again.
    await postgres.query(
      'select message_bus.configure(max_backlog_size => 1000000, max_global_backlog_size => 1000000)',
    );
  },
});

export const restores: readonly Scenario[] = [
  {
    name: 'restore-schema',
    title: 'The schema is dropped and restored from a dump under running nodes: all are told, and go on',
    run: (stage) => run(stage, fill('drop the schema')),
  },
  {
    name: 'restore-data',
    title: 'The tables are truncated and filled from a dump under running nodes: all are told, and go on',
    run: (stage) => run(stage, fill('truncate the tables')),
  },
  {
    name: 'restore-database',
    title: 'A copy of the database takes its place under running nodes: all are told, and go on',
    run: (stage) => run(stage, swap),
  },
  {
    name: 'restore-files',
    title: 'The data folder of Postgres is put back: all are told, and go on',
    run: (stage) => run(stage, copyFiles),
  },
  {
    name: 'restore-other',
    title: "Another bus's dump takes the place of this one: all are told, and go on",
    run: (stage) => run(stage, otherBus),
  },
];
