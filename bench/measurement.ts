/** The runs of one side of a comparison. */
export interface Side {
  name: string;
  values: number[];
  /** The largest share of its time in which the generator's busiest thread had work: near 1, it was the limit. */
  generatorBusy: number;
}

/** How far the median may be from the floor's (a factor), or without a floor, what it may be. */
export type Goal = { atLeast: number } | { atMost: number };

/** A line of the table. */
export interface Line {
  what: string;
  unit: string;
  floor?: Side;
  measured: Side;
  /** Without: to compare. */
  goal?: Goal;
  /** What else counts as reached: nothing is left that could be faster. */
  machineBusy?: { values: number[]; atLeast: number };
}

/** Points of a plot, by the name of their curve. */
export type Curves = Record<string, [x: number, y: number][]>;

/** Where time goes: the largest shares of it. */
export interface Profile {
  /** Whose time, under what load. */
  of: string;
  shares: [where: string, share: number][];
}

export interface Outcome {
  lines: Line[];
  curves?: Curves;
  /** Taken after the runs, in one more that does not count. Shown where a goal was missed. */
  profiles?: Profile[];
}

export interface Run {
  value: number;
  generatorBusy: number;
}

export function side(name: string, runs: readonly Run[]): Side {
  return {
    name,
    values: runs.map((run) => run.value),
    generatorBusy: Math.max(...runs.map((run) => run.generatorBusy)),
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The median of the measured by that of its floor; undefined without a floor, or where that is 0. */
export function ratio({ floor, measured }: Line): number | undefined {
  const of = floor && median(floor.values);
  return of ? median(measured.values) / of : undefined;
}

export function isReached(line: Line): boolean {
  const { floor, goal, machineBusy, measured } = line;
  if (!goal) return true;
  if (machineBusy && median(machineBusy.values) >= machineBusy.atLeast) return true;
  const unit = floor ? median(floor.values) : 1;
  const value = median(measured.values);
  return 'atLeast' in goal ? value >= goal.atLeast * unit : value <= goal.atMost * unit;
}
