import type { Curves } from '../measurement.js';
import { formatNumber } from './numbers.js';
import { colorOf, curve, legend, line, svg, text } from './svg.js';

export interface LineChartOptions {
  title: string;
  x: string;
  y: string;
  /** In pairs of one colour: what it is compared with, dashed, and what was measured. */
  curves: Curves;
  /** Evenly spaced values of x, whatever their distance; or a scale. */
  spacing: 'even' | 'to scale';
  /** Steps of a factor of ten. */
  isLogarithmic?: boolean;
}

const width = 760;
const height = 400;
const left = 80;
const right = 44;
const bottom = 58;

export function lineChart({ title, x, y, curves, isLogarithmic, spacing }: LineChartOptions): string {
  const named = Object.entries(curves).map(([name, points], i) => ({
    name,
    points,
    color: colorOf(1 + Math.floor(i / 2)),
    isDashed: i % 2 === 0,
  }));
  const keys = legend(16, 54, width - 32, named);
  const top = 54 + keys.height + 16;
  const points = Object.values(curves).flat();
  const xs = [...new Set(points.map(([at]) => at))].sort((a, b) => a - b);
  const across = (at: number) => {
    const share = spacing === 'even' ? xs.indexOf(at) / Math.max(1, xs.length - 1) : at / (xs.at(-1) ?? 1);
    return left + share * (width - left - right);
  };
  const ticks = isLogarithmic
    ? powersOfTen(points.map(([, value]) => value))
    : roundSteps(points.map(([, value]) => value));
  const lowest = ticks[0] ?? 0;
  const highest = ticks.at(-1) ?? 1;
  const up = (value: number) => {
    const share = isLogarithmic
      ? Math.log(Math.max(value, lowest) / lowest) / Math.log(highest / lowest)
      : (value - lowest) / (highest - lowest);
    return height - bottom - share * (height - bottom - top);
  };
  const shownXs = spacing === 'even' ? xs : xs.filter((_, i) => i % 2 === 1);
  return svg(width, height, title, [
    ...keys.parts,
    text(left, top - 8, y, 'end', 'quiet'),
    ...ticks.flatMap((tick) => [
      line(left, up(tick), width - right, up(tick)),
      text(left - 8, up(tick) + 4.5, formatNumber(tick), 'end', 'quiet'),
    ]),
    ...shownXs.map((at) => text(across(at), height - bottom + 20, formatNumber(at), 'middle', 'quiet')),
    text((left + width - right) / 2, height - 14, x, 'middle', 'quiet'),
    ...named.map(({ color, isDashed, points }) =>
      curve(
        points.map(([at, value]) => [across(at), up(value)] as const),
        color,
        isDashed,
      ),
    ),
  ]);
}

function powersOfTen(values: readonly number[]): number[] {
  const positive = values.filter((value) => value > 0);
  const from = Math.floor(Math.log10(Math.min(...positive)));
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...positive))));
  return Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i));
}

function roundSteps(values: readonly number[]): number[] {
  const most = Math.max(...values, 1e-9);
  const magnitude = 10 ** Math.floor(Math.log10(most));
  const step = [0.2, 0.5, 1, 2].map((factor) => factor * magnitude).find((size) => most / size <= 6) ?? magnitude;
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, i) => i * step);
}
