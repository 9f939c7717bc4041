import { Arena } from '../arena.js';
import type { Scenario } from './scenario.js';

export const soak: Scenario = {
  name: 'soak',
  title: 'Faults of all kinds at random moments, one after the other: nothing adds up over time',
  async run(stage) {
    const arena = await Arena.open(stage, { nodes: 3, pauseMs: 15 });
    const { postgres, nodes } = arena;
    const end = (who: string) =>
      postgres.query(`select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and ${who}`);
    const faults: Record<string, () => Promise<unknown>> = {
      'listeners ended': () => end(`application_name = 'postbus listener'`),
      'sessions ended': () => end('datname = current_database() and random() < 0.3'),
      'nodes killed': async () => {
        const node = stage.random.pick(nodes);
        await node.kill();
        await node.start();
      },
      'nodes replaced': async () => {
        const node = stage.random.pick(nodes);
        await node.stop();
        await node.start();
      },
      'settings changed': () =>
        postgres.query(
          'select message_bus.configure(relay => random() < 0.5, clear_every => 50 + (random() * 100)::int)',
        ),
      'kills of Postgres': async () => {
        await postgres.kill();
        await postgres.start();
      },
    };
    await stage.keep(async () => {
      const name = stage.random.pick(Object.keys(faults));
      await faults[name]?.();
      stage.made(name);
    }, 1_500);
    await arena.settle();
  },
};
