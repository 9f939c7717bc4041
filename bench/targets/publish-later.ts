import type { Target } from '../bench.js';
import { median, side } from '../measurement.js';
import { type DatabaseRun, rateOf, StatementLoad } from './statement-load.js';

const connectionCounts = [1, 8, 32];
const kinds = ['insert', 'insert + notify', 'publish_later'] as const;

export const publishLater: Target = {
  number: 15,
  name: 'publish-later',
  title: 'publish_later()',
  how: 'Connections that call message_bus.publish_later(), each in a transaction of its own, on 1000 channels, with the relay off: each commit publishes. Against as many that insert a row into a plain table and call pg_notify() with it, which is the least that wakes anybody; and beside those that only insert the row.',
  async measure(bench) {
    const load = await StatementLoad.open(bench);
    const cases = connectionCounts.map((connections) => ({
      connections,
      runs: { insert: [], 'insert + notify': [], publish_later: [] } as Record<(typeof kinds)[number], DatabaseRun[]>,
    }));
    await bench.rounds(async () => {
      for (const { connections, runs } of cases) {
        for (const kind of kinds) runs[kind].push(await load.run({ kind, inFlight: connections, channels: 1000 }));
      }
    });
    return {
      lines: cases.flatMap(({ connections, runs }) => {
        const line = {
          what: `publish_later(), ${connections} connection${connections === 1 ? '' : 's'}`,
          unit: 'messages/s',
          measured: side('postbus', runs.publish_later.map(rateOf)),
        };
        const floor = side('INSERT + pg_notify', runs['insert + notify'].map(rateOf));
        return [
          { ...line, floor, goal: { atLeast: 0.8 } },
          { ...line, floor: side('INSERT', runs.insert.map(rateOf)) },
        ];
      }),
      curves: Object.fromEntries(
        kinds.map((kind) => [
          kind === 'publish_later' ? 'publish_later()' : kind.toUpperCase(),
          cases.map(({ connections, runs }): [number, number] => [
            connections,
            median(runs[kind].map((run) => run.messagesPerSecond)),
          ]),
        ]),
      ),
      profiles: await load.profile({ kind: 'publish_later', inFlight: 32, channels: 1000 }),
    };
  },
};
