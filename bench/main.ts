import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../dist/embedded-postgres/index.js';
import { Bench, type Target } from './bench.js';
import { describeCommit, describeMachine, type Machine } from './machine.js';
import { type Line, median, ratio } from './measurement.js';
import { type Options, parseOptions, usage } from './options.js';
import { formatNumber } from './page/numbers.js';
import { writePage } from './page/page.js';
import { loadResults, type Result, saveResult } from './results.js';
import { checkGenerator } from './self-check.js';
import { targets } from './targets/index.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const patienceMs = 15 * 60_000;

async function main(options: Options): Promise<void> {
  if (!options.pageOnly) {
    console.log('What the generator notices:');
    if (!(await checkGenerator(console.log))) throw new Error('the generator cannot be trusted');
    const postgres = await startEmbeddedPostgres({ settings: { max_connections: '200' } });
    // Servers, threads and Postgres end with this process, however it ends.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
    try {
      await measure(options, postgres);
    } finally {
      await postgres.stop();
    }
  }
  if (options.page && options.results) {
    writePage(options.page, loadResults(options.results));
    console.log(`\nwrote ${options.page}`);
  }
}

async function measure(options: Options, postgres: EmbeddedPostgres): Promise<void> {
  const machine = describeMachine(await postgresVersion(postgres.url));
  const commit = describeCommit(root);
  console.log(
    `${machine.cpu}, ${machine.cores} cores; Node ${machine.node}, PostgreSQL ${machine.postgres}; ${commit}`,
  );
  for (const target of targets.filter(({ number }) => options.only.includes(number))) {
    console.log(`\n${target.number}. ${target.title}`);
    try {
      const result = await measureTarget(target, options, postgres, { machine, commit });
      for (const line of result.outcome.lines) console.log(summary(line));
      if (options.results) saveResult(options.results, result);
    } catch (error) {
      // What was kept of it stays, and says of which commit it is.
      console.error(error);
      process.exitCode = 1;
    }
  }
}

async function measureTarget(
  target: Target,
  { nodeFlags, pace }: Options,
  postgres: EmbeddedPostgres,
  about: { machine: Machine; commit: string },
): Promise<Result> {
  const { name, number, title, how } = target;
  const bench = new Bench(pace, postgres.url, { nodeFlags }, (line) => console.log(line));
  const started = Date.now();
  const overdue = setTimeout(() => {
    console.error(`target ${number} does not end`);
    process.exit(1);
  }, patienceMs);
  try {
    const outcome = await target.measure(bench);
    const took = Math.round((Date.now() - started) / 1000);
    const measuredAt = new Date(started).toISOString();
    return { target: number, name, title, how, measuredAt, took, pace: pace.name, ...about, outcome };
  } finally {
    clearTimeout(overdue);
    await bench.end();
  }
}

function summary(line: Line): string {
  const { floor, measured, unit, what } = line;
  const times = ratio(line);
  const compared = floor ? `, ${floor.name} ${formatNumber(median(floor.values))}` : '';
  const factor = times === undefined ? '' : `, ${formatNumber(times)} ×`;
  return `  = ${what}: ${formatNumber(median(measured.values))} ${unit}${compared}${factor}`;
}

async function postgresVersion(url: string): Promise<string> {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query<{ server_version: string }>('show server_version');
  await client.end();
  return rows[0]?.server_version ?? 'unknown';
}

const args = process.argv.slice(2);
if (args.includes('--help')) console.log(usage);
else await main(parseOptions(args, root));
