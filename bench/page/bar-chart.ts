import { formatNumber } from './numbers.js';
import { colorOf, legend, line, rect, svg, text } from './svg.js';

export interface Bar {
  /** Bars of one series have one colour. */
  series: string;
  value: number;
  /** The least and the most of the runs. */
  spread?: [number, number];
}

export interface BarGroup {
  label: string;
  bars: Bar[];
}

const width = 760;
const left = 16;
const right = 90;
const thickness = 16;

/** Groups of bars that lie on their side, so that their labels have room. */
export function barChart(title: string, unit: string, groups: readonly BarGroup[]): string {
  const series = [...new Set(groups.flatMap((group) => group.bars.map((bar) => bar.series)))];
  const most = Math.max(...groups.flatMap((group) => group.bars.flatMap((bar) => [bar.value, bar.spread?.[1] ?? 0])));
  const scale = (width - left - right) / (most || 1);
  const names = legend(
    left,
    54,
    width - 2 * left,
    series.map((name, i) => ({ name, color: colorOf(i) })),
  );
  const parts = [...names.parts];
  let y = 54 + names.height;
  for (const { label, bars } of groups) {
    parts.push(text(left, y + 8, label));
    y += 16;
    for (const { series: name, spread, value } of bars) {
      const middle = y + thickness / 2;
      parts.push(rect(left, y, value * scale, thickness, colorOf(series.indexOf(name))));
      if (spread && spread[1] > spread[0]) {
        parts.push(line(left + spread[0] * scale, middle, left + spread[1] * scale, middle, 'spread'));
      }
      const end = Math.max(value, spread?.[1] ?? 0);
      parts.push(text(left + end * scale + 6, middle + 4.5, formatNumber(value), 'start', 'quiet'));
      y += thickness + 3;
    }
    y += 12;
  }
  return svg(width, y + 4, `${title} (${unit})`, parts);
}
