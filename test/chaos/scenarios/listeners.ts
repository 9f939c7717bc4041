import { Arena } from '../arena.js';
import type { Scenario } from './scenario.js';

export const listeners: Scenario = {
  name: 'listeners',
  title: 'Connections that listen are ended again and again, and nobody misses or repeats a message',
  async run(stage) {
    const arena = await Arena.open(stage);
    await stage.keep(async () => {
      const rows = await arena.postgres.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'postbus listener' and random() < 0.7`,
      );
      stage.made('listeners ended', rows.length);
    });
    await arena.settle();
  },
};
