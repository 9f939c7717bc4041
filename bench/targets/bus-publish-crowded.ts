import type { Target } from '../bench.js';
import { side } from '../measurement.js';
import { type DatabaseRun, rateOf, StatementLoad } from './statement-load.js';

const inFlight = 512;

export const busPublishCrowded: Target = {
  number: 5,
  name: 'bus-publish-crowded',
  title: 'bus.publish() with much in flight',
  how: 'As before, with 512 calls under way, to one channel and over 1000 in turns.',
  async measure(bench) {
    const load = await StatementLoad.open(bench);
    const insert: DatabaseRun[] = [];
    const sides = [1, 1000].map((channels) => ({ channels, runs: [] as DatabaseRun[] }));
    await bench.rounds(async () => {
      insert.push(await load.run({ kind: 'insert', inFlight: 32, channels: 1 }));
      for (const { channels, runs } of sides) runs.push(await load.run({ kind: 'bus', inFlight, channels }));
    });
    return {
      lines: sides.map(({ channels, runs }) => ({
        what: `bus.publish(), ${inFlight} in flight, ${channels === 1 ? 'one channel' : `${channels} channels`}`,
        unit: 'messages/s',
        floor: side('INSERT, 32 connections', insert.map(rateOf)),
        measured: side('postbus', runs.map(rateOf)),
        goal: { atLeast: 1.5 },
      })),
      profiles: await load.profile({ kind: 'bus', inFlight, channels: 1000 }),
    };
  },
};
