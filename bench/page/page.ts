import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isReached, type Line, median, type Outcome, ratio, type Side } from '../measurement.js';
import type { Result } from '../results.js';
import { drawCharts } from './charts.js';
import { formatNumber } from './numbers.js';

/** Writes the page, and its plots into a folder beside it that has its name. */
export function writePage(path: string, results: readonly Result[]): void {
  const plots = path.replace(/\.md$/, '');
  mkdirSync(plots, { recursive: true });
  const charts = drawCharts(results);
  for (const { name, svg } of charts.values()) writeFileSync(join(plots, `${name}.svg`), svg);
  const plotFolder = plots.slice(dirname(plots).length + 1);
  const sections = results.map(({ how, name, outcome, target, title }) => {
    const chart = charts.get(name);
    const plot = chart ? `\n\n![${title}](${plotFolder}/${chart.name}.svg)` : '';
    return [`### ${target}. ${title}\n\n${how}${plot}`, ...missed(outcome)].join('\n\n');
  });
  writeFileSync(path, `${[...introduction(results), table(results), ...sections, sources(results)].join('\n\n')}\n`);
}

/** For a goal that was missed: where the time goes. */
function missed({ lines, profiles = [] }: Outcome): string[] {
  if (lines.every(isReached)) return [];
  return profiles.map(({ of, shares }) =>
    [
      `| Where the time goes: ${of} | |`,
      '| --- | ---: |',
      ...shares.filter(([, share]) => share >= 0.005).map(([where, share]) => `| ${where} | ${percent(share)} |`),
    ].join('\n'),
  );
}

function introduction(results: readonly Result[]): string[] {
  const provisional = results.some(({ pace }) => pace !== 'full')
    ? ['> **Provisional:** some of this was measured in short runs, without repetition.']
    : [];
  return [
    '# Benchmarks',
    ...provisional,
    [
      'Written by `npm run bench`, which measures everything again on your machine (about half an hour; `-- --only 1,2` measures',
      'some, `-- --quick` only shows short runs). Machines differ, so each figure stands beside a floor that is measured in turns',
      'with it: *bare*, a `node:http` server that speaks the protocol from memory and keeps, checks and promises nothing; or plain',
      'statements on the same Postgres. A figure is the median of its runs, with the least and the most of them; ratios are those',
      'of medians. Postgres is the embedded one with its default settings, so every acknowledged message is on disk. Data is 120',
      'bytes of JSON. Clients verify what they receive: a message lost, doubled or out of order fails the measurement.',
    ].join('\n'),
    ...machines(results),
  ];
}

function machines(results: readonly Result[]): string[] {
  const described = results.map(
    ({ machine: m }) =>
      `${m.cpu}, ${m.cores} cores, ${m.memoryGb} GB, ${m.system}; Node ${m.node}, PostgreSQL ${m.postgres} on ` +
      `${m.fileSystem} (a page is on disk after ${m.syncMs.toFixed(2)} ms).`,
  );
  // The time to get to the disk varies from run to run.
  const distinct = new Map(described.map((words) => [words.replace(/after [\d.]+ ms/, ''), words]));
  return [...distinct.values()];
}

function table(results: readonly Result[]): string {
  const rows = results.flatMap(({ outcome, target }) =>
    outcome.lines.map((line, i) => {
      const { floor, measured, unit } = line;
      const times = ratio(line);
      return [
        i === 0 ? `[${target}](#${anchor(results, target)})` : '',
        line.what,
        goal(line),
        floor ? figure(floor, unit) : '',
        figure(measured, unit),
        times === undefined ? '' : `${formatNumber(times)} ×`,
        verdict(line),
        generator(line),
      ];
    }),
  );
  const head = ['', 'what', 'goal', 'floor', 'postbus', 'ratio', 'reached', 'generator'];
  return [
    [head, ['---:', '---', '---', '---', '---', '---:', '---', '---'], ...rows]
      .map((cells) => `| ${cells.join(' | ')} |`)
      .join('\n'),
    '\n\n*generator*: how busy the busiest thread of the generator was, with the floor and with postbus; near 100 % it was the limit.',
  ].join('');
}

function anchor(results: readonly Result[], target: number): string {
  const title = results.find((result) => result.target === target)?.title ?? '';
  return `${target} ${title}`
    .toLowerCase()
    .replace(/[^a-z0-9 _-]/g, '')
    .replace(/ /g, '-');
}

function goal({ floor, goal, unit }: Line): string {
  if (!goal) return floor ? `beside ${floor.name}` : '';
  const [sign, value] = 'atLeast' in goal ? ['≥', goal.atLeast] : ['≤', goal.atMost];
  return floor ? `${sign} ${value} × ${floor.name}` : `${sign} ${value} ${unit}`;
}

function figure({ values }: Side, unit: string): string {
  const least = formatNumber(Math.min(...values));
  const most = formatNumber(Math.max(...values));
  return `${formatNumber(median(values))} ${unit}${least === most ? '' : ` (${least}–${most})`}`;
}

function verdict(line: Line): string {
  if (!line.goal) return '';
  const cpu = line.machineBusy ? ` (CPU ${percent(median(line.machineBusy.values))})` : '';
  return `${isReached(line) ? 'yes' : '**no**'}${cpu}`;
}

function generator({ floor, measured }: Line): string {
  const sides = [...(floor ? [floor] : []), measured].filter(({ generatorBusy }) => generatorBusy > 0);
  return sides.map(({ generatorBusy }) => percent(generatorBusy)).join(', ');
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

function sources(results: readonly Result[]): string {
  const rows = results.map(({ commit, measuredAt, outcome, pace, target, took }) => {
    const runs = Math.max(...outcome.lines.map((line) => line.measured.values.length));
    return `| ${target} | ${measuredAt.slice(0, 16).replace('T', ' ')} | ${commit} | ${runs}${pace === 'full' ? '' : ` (${pace})`} | ${took} s |`;
  });
  return [
    '## When it was measured',
    '',
    '| | UTC | commit | runs | took |',
    '| ---: | --- | --- | --- | ---: |',
    ...rows,
    '',
    'A + behind a commit: with changes that were not in it. The runs themselves are kept in `bench/results`.',
  ].join('\n');
}
