import type { Target } from '../bench.js';
import { side } from '../measurement.js';
import { Reads } from './reads.js';

export const emptyPolls: Target = {
  number: 8,
  name: 'empty-polls',
  title: 'Polls that find nothing',
  how: '32 clients poll with dlp=t, which is answered at once, from the last id on, again as soon as they are answered.',
  async measure(bench) {
    const options = { clients: 32, messages: 1, position: 1 };
    const bare = await Reads.open(bench, 'bare', (await bench.bare()).port, options);
    const postbus = await Reads.open(bench, 'postbus', (await bench.postbus(await bench.database())).port, options);
    await bench.rounds(async () => {
      await bare.measure();
      await postbus.measure();
    });
    return {
      lines: [
        {
          what: 'dlp=t polls with nothing new, 32 clients',
          unit: 'polls/s',
          floor: side('bare', bare.runs),
          measured: side('postbus', postbus.runs),
          goal: { atLeast: 0.6 },
        },
      ],
    };
  },
};
