import type { Target } from '../bench.js';
import { type Profile, side } from '../measurement.js';
import { Latencies } from './latencies.js';

export const thousandChannels: Target = {
  number: 11,
  name: 'thousand-channels',
  title: 'A thousand channels',
  how: 'Each of 1000 clients waits on a channel of its own; 400 messages a second go to channels picked at random, over HTTP.',
  async measure(bench) {
    const { crowd } = bench.pace;
    const bareServer = await bench.bare();
    const busServer = await bench.postbus(await bench.database());
    const modes = (['stream', 'long poll'] as const).map((mode) => {
      const traffic = { mode, subscribers: crowd, channels: crowd, rate: 400, publishers: 16 };
      return {
        mode,
        bare: new Latencies(bench, bareServer.port, traffic),
        postbus: new Latencies(bench, busServer.port, traffic),
      };
    });
    await bench.rounds(async () => {
      for (const { bare, postbus } of modes) {
        await bare.measure();
        await postbus.measure();
      }
    });
    const profiles: Profile[] = [];
    for (const { mode, postbus } of modes) {
      profiles.push(await postbus.profile(busServer, `the server, 400 publishes a second, 1000 channels (${mode})`));
    }
    return {
      profiles,
      lines: modes.map(({ mode, bare, postbus }) => ({
        what: `1000 channels with a client each (${mode}), 400 publishes/s: p99`,
        unit: 'ms',
        floor: side('bare', bare.runs(0.99)),
        measured: side('postbus', postbus.runs(0.99)),
        goal: { atMost: 2 },
      })),
      curves: Object.fromEntries(
        modes.flatMap(({ mode, bare, postbus }) => [
          [`bare, ${mode}`, bare.curve],
          [`postbus, ${mode}`, postbus.curve],
        ]),
      ),
    };
  },
};
