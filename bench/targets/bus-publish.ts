import type { Target } from '../bench.js';
import { side } from '../measurement.js';
import { type DatabaseRun, rateOf, StatementLoad } from './statement-load.js';

export const busPublish: Target = {
  number: 4,
  name: 'bus-publish',
  title: 'bus.publish()',
  how: 'One Node thread keeps 32 calls under way; ids must rise in the order of the calls. The floor is another thread that keeps 32 connections busy with a prepared INSERT of one row into a plain table, autocommit.',
  async measure(bench) {
    const load = await StatementLoad.open(bench);
    const insert: DatabaseRun[] = [];
    const bus: DatabaseRun[] = [];
    await bench.rounds(async () => {
      insert.push(await load.run({ kind: 'insert', inFlight: 32, channels: 1 }));
      bus.push(await load.run({ kind: 'bus', inFlight: 32, channels: 1 }));
    });
    return {
      lines: [
        {
          what: 'bus.publish(), 32 in flight',
          unit: 'messages/s',
          floor: side('INSERT, 32 connections', insert.map(rateOf)),
          measured: side('postbus', bus.map(rateOf)),
          goal: { atLeast: 1 },
        },
      ],
      profiles: await load.profile({ kind: 'bus', inFlight: 32, channels: 1 }),
    };
  },
};
