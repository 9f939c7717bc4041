import type { Target } from '../bench.js';
import { side } from '../measurement.js';
import { Latencies } from './latencies.js';

export const idleLatency: Target = {
  number: 3,
  name: 'idle-latency',
  title: 'Latency when there is little to do',
  how: 'One publisher sends 20 messages a second over HTTP to 100 streaming clients. A latency is from before the publish is written to when the client has read the message, on one clock. Which part takes how long: [design.md](design.md#where-the-time-goes).',
  async measure(bench) {
    const subscribers = Math.min(100, bench.pace.crowd);
    const traffic = { mode: 'stream', subscribers, channels: 1, rate: 20, publishers: 1 } as const;
    const bare = new Latencies(bench, (await bench.bare()).port, traffic);
    const postbus = new Latencies(bench, (await bench.postbus(await bench.database())).port, traffic);
    await bench.rounds(async () => {
      await bare.measure();
      await postbus.measure();
    });
    return {
      lines: [
        {
          what: 'publish to receipt, 100 streaming clients, idle: p50',
          unit: 'ms',
          floor: side('bare', bare.runs(0.5)),
          measured: side('postbus', postbus.runs(0.5)),
          goal: { atMost: 1.5 },
        },
      ],
      curves: { bare: bare.curve, postbus: postbus.curve },
    };
  },
};
