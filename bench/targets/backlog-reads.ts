import type { Target } from '../bench.js';
import { side } from '../measurement.js';
import { Reads } from './reads.js';

export const backlogReads: Target = {
  number: 9,
  name: 'backlog-reads',
  title: 'Reading a backlog',
  how: '8 clients poll with dlp=t from id 0 and are answered with all 1000 messages of the channel, again as soon as they are answered; every answer is compared in full.',
  async measure(bench) {
    const options = { clients: 8, messages: 1000, position: 0 };
    const bare = await Reads.open(bench, 'bare', (await bench.bare()).port, options);
    const postbus = await Reads.open(bench, 'postbus', (await bench.postbus(await bench.database())).port, options);
    await bench.rounds(async () => {
      await bare.measure();
      await postbus.measure();
    });
    return {
      lines: [
        {
          what: 'a backlog of 1000 messages, 8 clients',
          unit: 'backlogs/s',
          floor: side('bare', bare.runs),
          measured: side('postbus', postbus.runs),
          goal: { atLeast: 0.8 },
        },
      ],
    };
  },
};
