import type { Published } from './publisher-thread.js';
import type { TallyReport } from './tally.js';

export interface Judged {
  /** What must never happen, however loaded a server is; empty when all is well. */
  faults: string[];
  /** Deliveries that are missing: excusable in a server that is overloaded. */
  undelivered: number;
  /** Share of the messages that were published and answered in time. */
  kept: number;
  /** Lost connections and answers that are not 200. */
  troubles: Record<string, number>;
}

/** Compares what the publishers were answered with what the subscribers received. */
export function judge(published: Published, tallies: readonly TallyReport[], expected: number, behind: number): Judged {
  const sum = (of: (tally: TallyReport) => number) => tallies.reduce((total, tally) => total + of(tally), 0);
  const counts = {
    'came twice or out of order': sum((tally) => tally.repeated),
    'came on a channel that was not asked for': sum((tally) => tally.misrouted),
    'came under different ids': sum((tally) => tally.altered),
    'came under an id that the publisher was not answered': sum((tally) => countMismatches(published.ids, tally.idOf)),
    'were answered an id that is not above the one before': published.misordered,
  };
  const faults = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} messages ${what}`);
  const missing = expected - sum((tally) => tally.received);
  const troubles: Record<string, number> = { ...published.troubles };
  for (const tally of tallies) {
    for (const [what, count] of Object.entries(tally.troubles)) troubles[what] = (troubles[what] ?? 0) + count;
  }
  return {
    faults,
    undelivered: Math.max(
      missing,
      sum((tally) => tally.missed),
      behind,
    ),
    kept: published.acknowledged / published.ids.length,
    troubles,
  };
}

function countMismatches(answered: Int32Array, received: Int32Array): number {
  let mismatches = 0;
  for (const [n, id] of received.entries()) {
    const acknowledged = answered[n];
    if (id !== 0 && acknowledged !== 0 && acknowledged !== id) mismatches++;
  }
  return mismatches;
}

/** What a server did is wrong, not slow. */
export class WrongDelivery extends Error {
  override name = 'WrongDelivery';
}

/** @throws WrongDelivery unless every message reached every subscriber once, in order, on connections that held. */
export function requireFlawless(judged: Judged): void {
  const faults = [...judged.faults];
  if (judged.undelivered > 0) faults.push(`${judged.undelivered} deliveries are missing`);
  for (const [what, count] of Object.entries(judged.troubles)) faults.push(`${count} × ${what}`);
  if (faults.length > 0) throw new WrongDelivery(faults.join('; '));
}
