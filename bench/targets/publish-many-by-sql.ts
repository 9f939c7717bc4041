import type { Target } from '../bench.js';
import { side } from '../measurement.js';
import { type DatabaseRun, rateOf, StatementLoad } from './statement-load.js';

export const publishManyBySql: Target = {
  number: 6,
  name: 'publish-many-by-sql',
  title: 'publish_many() by SQL',
  how: 'One connection calls message_bus.publish_many() with 100 messages to one channel, again and again.',
  async measure(bench) {
    const load = await StatementLoad.open(bench);
    const insert: DatabaseRun[] = [];
    const many: DatabaseRun[] = [];
    await bench.rounds(async () => {
      insert.push(await load.run({ kind: 'insert', inFlight: 32, channels: 1 }));
      many.push(await load.run({ kind: 'publish_many', inFlight: 1, channels: 1 }));
    });
    return {
      lines: [
        {
          what: 'publish_many() of 100, one connection',
          unit: 'messages/s',
          floor: side('INSERT, 32 connections', insert.map(rateOf)),
          measured: side('postbus', many.map(rateOf)),
          goal: { atLeast: 1.3 },
        },
      ],
      profiles: await load.profile({ kind: 'publish_many', inFlight: 1, channels: 1 }),
    };
  },
};
