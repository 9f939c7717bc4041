import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeFigures } from './figures.js';
import { type Options, parseOptions, usage } from './options.js';
import { makeTemplate } from './parts/postgres.js';
import type { Scenario } from './scenarios/scenario.js';
import { Skipped, Stage } from './stage.js';

/** Of what is wrong, so many lines are shown. */
const maxLines = 20;
const count = { passed: 0, failed: 0, skipped: 0 };
const stages = new Set<Stage>();

// postbus/client reports each poll that fails there: in these runs that is no news.
if (!process.env.CHAOS_VERBOSE) console.warn = () => {};

async function main({ chosen, secondsEach, jobs, seed }: Options): Promise<void> {
  const template = mkdtempSync(join(tmpdir(), 'postbus-chaos-template-'));
  const end = async () => {
    await Promise.all([...stages].map((stage) => stage.end()));
    rmSync(template, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void end().finally(() => process.exit(130)));
  }
  console.log(`seed ${seed}, ${Math.round(secondsEach)} s of trouble in each scenario`);
  try {
    await makeTemplate(template);
    const queue = [...chosen];
    const work = async () => {
      for (let scenario = queue.shift(); scenario; scenario = queue.shift()) {
        const stage = new Stage({ seed, seconds: secondsEach, template });
        stages.add(stage);
        await play(scenario, stage);
        stages.delete(stage);
      }
    };
    await Promise.all(Array.from({ length: jobs }, work));
  } finally {
    await end();
  }
  console.log(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
  process.exitCode = count.failed > 0 ? 1 : 0;
}

async function play(scenario: Scenario, stage: Stage): Promise<void> {
  const began = Date.now();
  let wrong: readonly string[] = [];
  let skipped: Skipped | undefined;
  try {
    await scenario.run(stage);
    wrong = stage.figures?.wrong ?? ['made no accounts'];
  } catch (error) {
    if (error instanceof Skipped) skipped = error;
    else
      wrong = [
        error instanceof Error ? (error.stack ?? error.message) : String(error),
        ...(stage.figures?.wrong ?? []),
      ];
  }
  await stage.end();
  const verdict = skipped ? 'skipped' : wrong.length > 0 ? 'failed' : 'passed';
  count[verdict]++;
  const sign = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' }[verdict];
  const took = `${((Date.now() - began) / 1_000).toFixed(1)} s`;
  const faults = [...stage.faults].map(([fault, times]) => `${times} ${fault}`).join(', ');
  const parts = [took, faults, stage.figures && describeFigures(stage.figures), skipped?.message].filter(Boolean);
  console.log(`${sign} ${scenario.name}: ${parts.join('; ')}`);
  for (const line of wrong.slice(0, maxLines)) console.log(`     ${line}`);
  if (wrong.length > maxLines) console.log(`     … and ${wrong.length - maxLines} more`);
  if (wrong.length > 0) console.log(`     again: npm run test:chaos -- --seed ${stage.run.seed} ${scenario.name}`);
}

const options = parseOptions(process.argv.slice(2));
if (options.isHelp) console.log(usage);
else {
  await main(options);
  // A half-open connection would keep the process for as long as the system tries to reach the other side.
  process.exit();
}
