import type { Target } from '../bench.js';
import { median, side } from '../measurement.js';
import { type DatabaseRun, p99Of, rateOf, StatementLoad } from './statement-load.js';

const connectionCounts = [1, 8, 32];
const channelCounts = [1, 1000];

export const publishBySql: Target = {
  number: 7,
  name: 'publish-by-sql',
  title: 'publish() by SQL',
  how: 'Connections that call message_bus.publish(), each in a transaction of its own, against as many with one statement that inserts a row into a plain table and calls pg_notify() with it. Both are prepared, one session listens to each.',
  async measure(bench) {
    const load = await StatementLoad.open(bench);
    const cases = channelCounts.flatMap((channels) =>
      connectionCounts.map((connections) => ({
        channels,
        connections,
        plain: [] as DatabaseRun[],
        postbus: [] as DatabaseRun[],
      })),
    );
    await bench.rounds(async () => {
      for (const { channels, connections, plain, postbus } of cases) {
        plain.push(await load.run({ kind: 'insert + notify', inFlight: connections, channels }));
        postbus.push(await load.run({ kind: 'publish', inFlight: connections, channels }));
      }
    });
    const lines = cases.flatMap(({ channels, connections, plain, postbus }) => {
      const what = `publish(), ${counted(connections, 'connection')}, ${counted(channels, 'channel')}`;
      const floor = 'INSERT + pg_notify';
      return [
        {
          what,
          unit: 'messages/s',
          floor: side(floor, plain.map(rateOf)),
          measured: side('postbus', postbus.map(rateOf)),
          goal: { atLeast: 0.8 },
        },
        {
          what: `${what}: p99`,
          unit: 'ms',
          floor: side(floor, plain.map(p99Of)),
          measured: side('postbus', postbus.map(p99Of)),
          goal: { atMost: 2 },
        },
      ];
    });
    const curve = (name: string, channels: number, runsOf: (one: (typeof cases)[number]) => DatabaseRun[]) => {
      const points = cases
        .filter((one) => one.channels === channels)
        .map((one): [number, number] => [one.connections, median(runsOf(one).map((run) => run.messagesPerSecond))]);
      return [`${name}, ${counted(channels, 'channel')}`, points] as const;
    };
    const curves = channelCounts.flatMap((channels) => [
      curve('INSERT + pg_notify', channels, ({ plain }) => plain),
      curve('publish()', channels, ({ postbus }) => postbus),
    ]);
    const profiles = [
      ...(await load.profile({ kind: 'publish', inFlight: 1, channels: 1 })),
      ...(await load.profile({ kind: 'publish', inFlight: 32, channels: 1000 })),
    ];
    return { lines, curves: Object.fromEntries(curves), profiles };
  },
};

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
