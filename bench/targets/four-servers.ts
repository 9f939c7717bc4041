import { cpus } from 'node:os';
import type { Target } from '../bench.js';
import { side } from '../measurement.js';
import { Saturation } from './saturation.js';

const servers = 4;
const fullCpu = 0.95;

export const fourServers: Target = {
  number: 13,
  name: 'four-servers',
  title: 'Four servers on one Postgres',
  how: 'The first measurement again (64 publishers), with the 1000 clients and the publishers spread over four server processes, against one of them alone. Where all cores of the machine are busy at that rate, generator included, there is nothing left to gain here.',
  async measure(bench) {
    const url = await bench.database();
    const ports: number[] = [];
    for (let i = 0; i < servers; i++) ports.push((await bench.postbus(url)).port);
    const traffic = { mode: 'stream', publishers: 64 } as const;
    const one = new Saturation(bench, { ...traffic, name: 'one process', ports: ports.slice(0, 1) });
    const four = new Saturation(bench, { ...traffic, name: 'four processes', ports });
    await bench.rounds(async () => {
      await one.measure();
      await four.measure();
    });
    return {
      lines: [
        {
          what: `streaming, 1000 clients, 64 publishers: four server processes (${cpus().length} cores)`,
          unit: 'deliveries/s',
          floor: side('one process', one.runs),
          measured: side('four processes', four.runs),
          goal: { atLeast: 2.5 },
          machineBusy: { values: four.machineBusy, atLeast: fullCpu },
        },
      ],
    };
  },
};
