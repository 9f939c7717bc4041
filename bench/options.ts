import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Pace, paces } from './pace.js';
import { targets } from './targets/index.js';

export interface Options {
  pace: Pace;
  only: readonly number[];
  /** Measure nothing; write the page from what is kept. */
  pageOnly: boolean;
  /** Where results and page go; undefined: nowhere, they are shown alone. */
  results: string | undefined;
  page: string | undefined;
  nodeFlags: string[];
}

export const usage = `npm run bench -- [options]
  --only 1,7     measure these targets only; the page keeps what was measured of the others
  --quick        short runs, without repetition; kept only with --out
  --smoke        next to no runs: shows that everything works
  --out FOLDER   keep results and page there
  --page         measure nothing, write the page from the results
  --cpu-prof FOLDER  keep CPU profiles of the servers there
`;

export function parseOptions(args: readonly string[], root: string): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      out: { type: 'string' },
      page: { type: 'boolean', default: false },
      'cpu-prof': { type: 'string' },
    },
  });
  const pace = paces[values.smoke ? 'smoke' : values.quick ? 'quick' : 'full'];
  const only = values.only?.split(',').map(Number) ?? targets.map(({ number }) => number);
  for (const number of only) {
    if (!targets.some((target) => target.number === number)) throw new Error(`there is no target ${number}`);
  }
  const profiles = values['cpu-prof'];
  const isKept = pace.name === 'full' || values.out !== undefined;
  return {
    pace,
    only,
    pageOnly: values.page,
    results: isKept ? (values.out ? resolve(values.out, 'results') : resolve(root, 'bench/results')) : undefined,
    page: isKept ? resolve(values.out ?? resolve(root, 'docs'), 'benchmarks.md') : undefined,
    nodeFlags: profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(profiles)}`],
  };
}
