import type { Bench } from '../bench.js';
import type { Mode } from '../generator/subscriber.js';
import { type Goal, type Outcome, type Profile, side } from '../measurement.js';
import { Saturation } from './saturation.js';

// With few, the time until a publish is answered limits the rate; with many, the rate at which messages are delivered.
const publisherCounts = [8, 64];

/** postbus and the bare server in turns, one process each. */
export async function compareSaturation(bench: Bench, mode: Mode, what: string, goal: Goal): Promise<Outcome> {
  const postbusServer = await bench.postbus(await bench.database());
  const servers = { bare: [(await bench.bare()).port], postbus: [postbusServer.port] };
  const cases = publisherCounts.map((publishers) => ({
    publishers,
    bare: new Saturation(bench, { name: 'bare', mode, ports: servers.bare, publishers }),
    postbus: new Saturation(bench, { name: 'postbus', mode, ports: servers.postbus, publishers }),
  }));
  await bench.rounds(async () => {
    for (const { bare, postbus } of cases) {
      await bare.measure();
      await postbus.measure();
    }
  });
  const profiles: Profile[] = [];
  for (const { postbus } of cases) profiles.push(await postbus.profile(postbusServer));
  const lines = cases.map(({ bare, postbus, publishers }) => ({
    what: `${what}, 1000 clients on one channel, ${publishers} publishers: highest with p99 ≤ 200 ms`,
    unit: 'deliveries/s',
    floor: side('bare', bare.runs),
    measured: side('postbus', postbus.runs),
    goal,
  }));
  return { lines, profiles };
}
