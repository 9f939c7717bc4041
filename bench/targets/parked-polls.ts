import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, Target } from '../bench.js';
import { type Line, side } from '../measurement.js';
import type { ServerProcess } from '../servers/server-process.js';

interface Parked {
  /** kB for each parked poll, and % of a core while nothing happens. */
  rss: number;
  pss: number | undefined;
  cpu: number;
}

export const parkedPolls: Target = {
  number: 10,
  name: 'parked-polls',
  title: 'Parked polls',
  how: '10,000 long polls are parked, on one channel, by a server that has just started: how much its resident memory has grown by then, and how much CPU it uses in the seconds that follow. Of no floor but a figure to hold; the bare server and a channel for each poll are shown to compare. What the memory is made of: [design.md](design.md#what-is-kept-in-memory).',
  async measure(bench) {
    const url = await bench.database();
    const cases = [
      { name: 'bare', channels: 1, start: () => bench.bare(), runs: [] as Parked[] },
      { name: 'postbus', channels: 1, start: () => bench.postbus(url), runs: [] as Parked[] },
      {
        name: 'postbus, a channel each',
        channels: bench.pace.parked,
        start: () => bench.postbus(url),
        runs: [] as Parked[],
      },
    ];
    await bench.rounds(async () => {
      for (const { name, channels, start, runs } of cases) {
        const parked = await park(bench, await start(), channels);
        const pss = parked.pss === undefined ? '' : ` (PSS ${parked.pss.toFixed(1)} kB)`;
        bench.log(`  ${name}: ${parked.rss.toFixed(1)} kB a poll${pss}, ${parked.cpu.toFixed(2)} % CPU`);
        runs.push(parked);
      }
    });
    const lines: Line[] = [];
    for (const { name, runs } of cases.filter(({ name }) => name !== 'bare')) {
      const detail = name === 'postbus' ? '' : ', on a channel each';
      const values = (of: (parked: Parked) => number) => runs.map((run) => ({ value: of(run), generatorBusy: 0 }));
      lines.push(
        {
          what: `10,000 parked polls${detail}: memory of each`,
          unit: 'kB',
          measured: side(
            name,
            values(({ rss }) => rss),
          ),
          goal: { atMost: 7 },
        },
        {
          what: `10,000 parked polls${detail}: CPU while idle`,
          unit: '% of a core',
          measured: side(
            name,
            values(({ cpu }) => cpu),
          ),
          goal: { atMost: 1 },
        },
      );
    }
    return {
      lines,
      curves: Object.fromEntries(
        cases.map(({ name, runs }) => [name, runs.map((run, i): [number, number] => [i + 1, run.rss])]),
      ),
    };
  },
};

async function park(bench: Bench, server: ServerProcess, channels: number): Promise<Parked> {
  const { parked, seconds } = bench.pace;
  // What a first poll brings along is not a poll's.
  const first = bench.fleet({ ports: [server.port], mode: 'long poll', subscribers: 2, channels: 1 });
  await first.open();
  await first.close();
  const before = await server.usage();
  const proportionalBefore = server.proportionalMemory;
  const fleet = bench.fleet({ ports: [server.port], mode: 'long poll', subscribers: parked, channels });
  await fleet.open();
  const held = await server.usage();
  await sleep(2 * seconds * 1000);
  const after = await server.usage();
  const proportional = server.proportionalMemory;
  await fleet.close();
  await server.stop();
  return {
    rss: (after.rss - before.rss) / parked / 1000,
    pss:
      proportional === undefined || proportionalBefore === undefined
        ? undefined
        : (proportional - proportionalBefore) / parked / 1000,
    cpu: (100 * (after.cpu - held.cpu)) / (2 * seconds),
  };
}
