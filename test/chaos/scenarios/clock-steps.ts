import { setTimeout as delay } from 'node:timers/promises';
import { Arena } from '../arena.js';
import { FakedClock, findFaketime } from '../parts/faked-clock.js';
import type { ChaosPostgres } from '../parts/postgres.js';
import { Skipped } from '../stage.js';
import type { Scenario } from './scenario.js';

/** Less than the age of messages, which would expire by right. */
const maxStepSeconds = 36_000;

export const clockSteps: Scenario = {
  name: 'clock-steps',
  title:
    "The database's clock steps forward and back by hours while nodes are killed: nothing is hidden, the relay goes on",
  async run(stage) {
    const library = findFaketime();
    if (!library) throw new Skipped("needs libfaketime (Debian's package faketime)");
    const clock = new FakedClock(library, stage.folder());
    const arena = await Arena.open(stage, { clock, relay: true });
    const step = async (seconds: number) => {
      clock.set(Math.round(seconds));
      await checkClock(arena.postgres, seconds);
      stage.made('clock steps');
    };
    await stage.keep(async () => {
      await step(stage.random.between(-maxStepSeconds, maxStepSeconds));
      await delay(stage.random.between(200, 1_000));
      const node = stage.random.pick(arena.nodes);
      await node.kill();
      await node.start();
    });
    // Far back at the end, and without the node that relayed: what counts on the clock alone would wait for as long.
    await step(maxStepSeconds);
    await delay(500);
    await step(-maxStepSeconds);
    for (const node of arena.nodes) {
      await node.kill();
      await node.start();
    }
    await arena.settle();
  },
};

/** A step that does not reach the database would prove nothing. */
async function checkClock(postgres: ChaosPostgres, seconds: number): Promise<void> {
  const [row] = await postgres.query<{ now: number }>('select extract(epoch from clock_timestamp())::float8 as now');
  const shown = Number(row?.now) - Date.now() / 1_000;
  if (Math.abs(shown - seconds) > 5) throw new Error(`the database's clock is off by ${shown} s, not by ${seconds} s`);
}
