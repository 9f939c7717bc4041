import { Arena } from '../arena.js';
import type { Scenario } from './scenario.js';

export const backends: Scenario = {
  name: 'backends',
  title: 'Any session is ended at any moment: what was acknowledged is there, what was refused is not',
  async run(stage) {
    const arena = await Arena.open(stage);
    await stage.keep(async () => {
      const rows = await arena.postgres.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid() and random() < 0.3`,
      );
      stage.made('sessions ended', rows.length);
    });
    await arena.settle();
  },
};
