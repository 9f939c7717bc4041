import { setTimeout as delay } from 'node:timers/promises';
import { Arena } from '../arena.js';
import type { Scenario } from './scenario.js';

export const outage: Scenario = {
  name: 'outage',
  title: 'Postgres is stopped for seconds and started again: readers go on where they were',
  async run(stage) {
    const arena = await Arena.open(stage);
    await stage.keep(async () => {
      await arena.postgres.stop();
      stage.made('outages');
      await delay(stage.random.between(1_000, 3_000));
      await arena.postgres.start();
    }, 1_500);
    await arena.settle();
  },
};
