// A card of its own, light or dark as the reader's system is, whatever the page around it.
const style = `
  .card { fill: #ffffff; stroke: #d0d7de; }
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .quiet { fill: #59636e; }
  .title { font-weight: 600; font-size: 15px; }
  .grid { stroke: #d0d7de; stroke-width: 1; }
  .spread { stroke: #1f2328; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d; }
    text { fill: #f0f6fc; }
    .quiet { fill: #9198a1; }
    .grid { stroke: #3d444d; }
    .spread { stroke: #f0f6fc; }
  }`;

export const colors = ['#8b949e', '#3b82f6', '#f59e0b', '#10b981', '#a855f7', '#ef4444'];

export const colorOf = (i: number): string => colors[i % colors.length] ?? '#8b949e';

/** A drawing; `title` is also what those are told who cannot see it. */
export function svg(width: number, height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<style>${style}</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="6"/>`,
    text(16, 28, title, 'start', 'title'),
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

export function text(
  x: number,
  y: number,
  words: string,
  anchor: 'start' | 'middle' | 'end' = 'start',
  kind = '',
): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" class="${kind}">${escapeXml(words)}</text>`;
}

export function line(x1: number, y1: number, x2: number, y2: number, kind = 'grid'): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" class="${kind}"/>`;
}

export function rect(x: number, y: number, width: number, height: number, color: string): string {
  return `<rect x="${round(x)}" y="${round(y)}" width="${round(Math.max(width, 1))}" height="${height}" rx="2" fill="${color}"/>`;
}

export function curve(points: readonly (readonly [number, number])[], color: string, isDashed: boolean): string {
  const path = points.map(([x, y]) => `${round(x)},${round(y)}`).join(' ');
  const dots = isDashed
    ? ''
    : points.map(([x, y]) => `<circle cx="${round(x)}" cy="${round(y)}" r="3" fill="${color}"/>`).join('');
  const dash = isDashed ? ' stroke-dasharray="5 4"' : '';
  return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2"${dash}/>${dots}`;
}

/** Names of colours, from left to right, a line further down where there is no more room. */
export function legend(
  x: number,
  y: number,
  width: number,
  entries: readonly { name: string; color: string; isDashed?: boolean }[],
): { parts: string[]; height: number } {
  const parts: string[] = [];
  let left = x;
  let top = y;
  for (const { name, color, isDashed } of entries) {
    const wide = 26 + name.length * 7.2;
    if (left > x && left + wide > x + width) {
      left = x;
      top += 20;
    }
    const sample = isDashed
      ? [4, 10].map((x) => rect(left + x - 4, top - 7, 4, 4, color))
      : [rect(left, top - 10, 12, 12, color)];
    parts.push(...sample, text(left + 18, top, name, 'start', 'quiet'));
    left += wide + 14;
  }
  return { parts, height: top - y + 20 };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(words: string): string {
  return words.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
