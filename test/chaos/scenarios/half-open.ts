import { setTimeout as delay } from 'node:timers/promises';
import { Arena } from '../arena.js';
import { Way } from '../parts/way.js';
import type { Scenario } from './scenario.js';

export const halfOpen: Scenario = {
  name: 'half-open',
  title: 'Connections to Postgres die without a word: nodes give them up, and go on over new ones',
  async run(stage) {
    const ways: Way[] = [];
    const arena = await Arena.open(stage, {
      way: async (postgres) => {
        const way = await Way.open(stage, postgres.url);
        ways.push(way);
        return () => way.url;
      },
    });
    await stage.keep(async () => {
      for (const way of ways) stage.made('connections gone dead', way.goDead());
      await delay(5_000);
    });
    await arena.settle();
  },
};
