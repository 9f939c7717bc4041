import { parseArgs } from 'node:util';
import { scenarios } from './scenarios/index.js';
import type { Scenario } from './scenarios/scenario.js';

export const usage = `Usage: npm run test:chaos -- [options] [scenario…]

Makes trouble for a bus under load, and holds what its publishers were told and its readers received
against the tables. Without scenarios, all of them:
${scenarios.map(({ name, title }) => `  ${name.padEnd(16)} ${title}`).join('\n')}

Options:
  --short        about three seconds of trouble in each scenario, as in CI
  --minutes <n>  how long the run is to take in total, about; default: 5
  --jobs <n>     scenarios at a time; default: 1, with --short 2
  --seed <n>     the random numbers of an earlier run, which printed it
  --help         this text

CHAOS_VERBOSE=1 in the environment also prints the errors of publishers, and the logs of nodes.`;

export interface Options {
  readonly chosen: readonly Scenario[];
  readonly secondsEach: number;
  readonly jobs: number;
  readonly seed: number;
  readonly isHelp: boolean;
}

/** What a scenario takes beside its trouble: Postgres and nodes start, readers get the rest. */
const overheadSeconds = 5;

export function parseOptions(parameters: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...parameters],
    allowPositionals: true,
    options: {
      short: { type: 'boolean', default: false },
      minutes: { type: 'string', default: '5' },
      jobs: { type: 'string' },
      seed: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const unknown = positionals.filter((name) => !scenarios.some((scenario) => scenario.name === name));
  if (unknown.length > 0) throw new Error(`no scenario ${unknown.join(', ')}\n\n${usage}`);
  const chosen = positionals.length === 0 ? scenarios : scenarios.filter(({ name }) => positionals.includes(name));
  const jobs = Number(values.jobs ?? (values.short ? 2 : 1));
  const seconds = (Number(values.minutes) * 60 * jobs) / chosen.length - overheadSeconds;
  return {
    chosen,
    secondsEach: values.short ? 3 : Math.max(3, seconds),
    jobs,
    seed: values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed),
    isHelp: values.help,
  };
}
