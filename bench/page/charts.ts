import { type Line, median, type Side } from '../measurement.js';
import type { Result } from '../results.js';
import { type BarGroup, barChart } from './bar-chart.js';
import { lineChart } from './line-chart.js';

/** A plot, shown with the first of its targets. */
export interface Chart {
  name: string;
  svg: string;
}

type Draw = (results: readonly Result[]) => string;

const charts: { name: string; targets: string[]; draw: Draw }[] = [
  {
    name: 'deliveries',
    targets: ['streaming-saturation', 'long-poll-saturation', 'four-servers'],
    draw: (results) =>
      barChart('1000 clients on one channel, p99 ≤ 200 ms', 'deliveries/s', linesOf(results).map(group)),
  },
  {
    name: 'idle-latency',
    targets: ['idle-latency'],
    draw: (results) => barChart('Publish to receipt, 100 streaming clients, idle', 'ms', percentiles(results)),
  },
  {
    name: 'publishing',
    targets: ['bus-publish', 'bus-publish-crowded', 'publish-many-by-sql'],
    draw: (results) => barChart('Durable publishes', 'messages/s', linesOf(results).map(group)),
  },
  {
    name: 'publish-by-sql',
    targets: ['publish-by-sql'],
    draw: (results) =>
      lineChart({
        title: 'publish() by SQL, autocommit (messages/s)',
        x: 'connections',
        y: 'messages/s',
        curves: curvesOf(results),
        spacing: 'even',
      }),
  },
  {
    name: 'publish-later',
    targets: ['publish-later'],
    draw: (results) =>
      lineChart({
        title: 'publish_later() by SQL, autocommit (messages/s)',
        x: 'connections',
        y: 'messages/s',
        curves: curvesOf(results),
        spacing: 'even',
      }),
  },
  {
    name: 'relay',
    targets: ['relay'],
    draw: (results) =>
      barChart(
        'publish_later() with the relay',
        'messages/s',
        linesOf(results)
          .filter(({ unit }) => unit === 'messages/s')
          .map(group),
      ),
  },
  {
    name: 'empty-polls',
    targets: ['empty-polls'],
    draw: (results) => barChart('Polls answered at once', 'polls/s', linesOf(results).map(group)),
  },
  {
    name: 'backlog-reads',
    targets: ['backlog-reads'],
    draw: (results) => barChart('Backlogs of 1000 messages read', 'backlogs/s', linesOf(results).map(group)),
  },
  {
    name: 'parked-polls',
    targets: ['parked-polls'],
    draw: (results) =>
      barChart(
        'Memory of a parked poll',
        'kB',
        Object.entries(curvesOf(results)).map(([name, points]) => ({
          label: name,
          bars: [{ series: 'resident memory, growth by poll', ...middle(points.map(([, value]) => value)) }],
        })),
      ),
  },
  {
    name: 'thousand-channels',
    targets: ['thousand-channels'],
    draw: (results) => barChart('1000 channels with a client each, 400 publishes/s', 'ms', percentiles(results)),
  },
  {
    name: 'table-size',
    targets: ['table-size'],
    draw: (results) =>
      lineChart({
        title: 'Size of all relations of the bus (MB)',
        x: 'messages published',
        y: 'MB',
        curves: curvesOf(results),
        spacing: 'to scale',
        isLogarithmic: true,
      }),
  },
];

/** The plots of which there are results; with the name of the target that each is shown with. */
export function drawCharts(results: readonly Result[]): Map<string, Chart> {
  const drawn = new Map<string, Chart>();
  for (const { name, targets, draw } of charts) {
    const found = results.filter((result) => targets.includes(result.name));
    const first = found[0];
    if (first) drawn.set(first.name, { name, svg: draw(found) });
  }
  return drawn;
}

function linesOf(results: readonly Result[]): Line[] {
  return results.flatMap((result) => result.outcome.lines);
}

function curvesOf(results: readonly Result[]) {
  return results[0]?.outcome.curves ?? {};
}

function group(line: Line): BarGroup {
  const bar = ({ name, values }: Side) => ({ series: name, ...middle(values) });
  return { label: line.what, bars: [...(line.floor ? [bar(line.floor)] : []), bar(line.measured)] };
}

function percentiles(results: readonly Result[]): BarGroup[] {
  const curves = Object.entries(curvesOf(results));
  return [50, 95, 99].map((percentile) => ({
    label: `p${percentile}`,
    bars: curves.map(([series, points]) => ({
      series,
      value: points.find(([x]) => x === percentile)?.[1] ?? Number.NaN,
    })),
  }));
}

function middle(values: readonly number[]): { value: number; spread: [number, number] } {
  return { value: median(values), spread: [Math.min(...values), Math.max(...values)] };
}
