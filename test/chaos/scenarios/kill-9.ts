import { setTimeout as delay } from 'node:timers/promises';
import { Arena } from '../arena.js';
import type { Scenario } from './scenario.js';

export const kill9: Scenario = {
  name: 'kill-9',
  title: 'Postgres is killed under load and recovers: what was acknowledged is there under the id that was told',
  async run(stage) {
    const arena = await Arena.open(stage);
    await stage.keep(async () => {
      await arena.postgres.kill();
      stage.made('kills of Postgres');
      await delay(stage.random.between(0, 300));
      await arena.postgres.start();
    }, 1_200);
    await arena.settle();
  },
};
