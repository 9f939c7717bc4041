/** What the accounting of one scenario found. */
export interface Figures {
  /** Messages whose publishers were told that they are published. */
  readonly acknowledged: number;
  readonly refused: number;
  /** Messages whose publishers cannot know, because the connection broke. */
  readonly unknown: number;
  readonly delivered: number;
  readonly lost: number;
  readonly doubled: number;
  /** Private messages that reached somebody else. */
  readonly leaked: number;
  /** Messages that HTTP clients passed over when they found that ids had gone back. */
  readonly skipped: number;
  readonly reconnects: number;
  readonly longestDelayMs: number;
  /** Everything that does not agree with the tables. */
  readonly wrong: readonly string[];
}

export const noFigures: Figures = {
  acknowledged: 0,
  refused: 0,
  unknown: 0,
  delivered: 0,
  lost: 0,
  doubled: 0,
  leaked: 0,
  skipped: 0,
  reconnects: 0,
  longestDelayMs: 0,
  wrong: [],
};

/** Of two parts of a scenario, one after the other. Reconnects are counted from the beginning in both. */
export function addFigures(first: Figures, second: Figures): Figures {
  return {
    acknowledged: first.acknowledged + second.acknowledged,
    refused: first.refused + second.refused,
    unknown: first.unknown + second.unknown,
    delivered: first.delivered + second.delivered,
    lost: first.lost + second.lost,
    doubled: first.doubled + second.doubled,
    leaked: first.leaked + second.leaked,
    skipped: first.skipped + second.skipped,
    reconnects: second.reconnects,
    longestDelayMs: Math.max(first.longestDelayMs, second.longestDelayMs),
    wrong: [...first.wrong, ...second.wrong],
  };
}

export function describeFigures(figures: Figures): string {
  const { acknowledged, unknown, refused, delivered, lost, doubled, leaked, skipped, reconnects } = figures;
  return [
    `published ${acknowledged} (unknown ${unknown}, refused ${refused})`,
    `delivered ${delivered}, lost ${lost}, doubled ${doubled}, leaked ${leaked}${skipped > 0 ? `, skipped ${skipped}` : ''}`,
    `reconnects ${reconnects}, longest delay ${(figures.longestDelayMs / 1_000).toFixed(2)} s`,
  ].join('; ');
}
