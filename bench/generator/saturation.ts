import type { Fleet, Phase } from './fleet.js';
import { WrongDelivery } from './verdict.js';

export interface SaturationOptions {
  /** Publishes a second to begin with. */
  start: number;
  /** Seconds for which each rate is held. */
  seconds: number;
  publishers: number;
  size: number;
  onStep?: (phase: Phase, isCarried: boolean) => void;
}

const limitMs = 200;
const leastKept = 0.9;
const bisections = 3;
const backlogSize = 1000;

/**
 * The phase with the highest rate at which everything arrives, 99 % of it within 200 ms: doubles the rate until that
 * fails, then bisects. What is lost while a server keeps up is no matter of speed and fails the measurement.
 */
export async function findSaturation(fleet: Fleet, options: SaturationOptions): Promise<Phase> {
  let best: Phase | undefined;
  const hold = async (rate: number): Promise<boolean> => {
    const phase = await fleet.phase({ ...options, rate });
    const isCarried = check(phase);
    options.onStep?.(phase, isCarried);
    if (isCarried) best = phase;
    else await fleet.reopen();
    return isCarried;
  };

  // A machine's hiccup is not the server's limit.
  const tryRate = async (rate: number): Promise<boolean> => (await hold(rate)) || (await hold(rate));

  let carried = 0;
  let failed = options.start;
  while (await tryRate(failed)) {
    carried = failed;
    failed *= 2;
  }
  // What was thought to be a safe start was none.
  while (carried === 0 && failed > 1) {
    failed = Math.max(1, Math.round(failed / 4));
    if (await tryRate(failed)) {
      carried = failed;
      failed *= 4;
    }
  }
  for (let i = 0; i < bisections; i++) {
    const rate = Math.round((carried + failed) / 2);
    if (rate <= carried || rate >= failed) break;
    if (await tryRate(rate)) carried = rate;
    else failed = rate;
  }
  if (best === undefined) throw new WrongDelivery('not even one message a second arrives within 200 ms');
  return best;
}

function check(phase: Phase): boolean {
  if (phase.faults.length > 0) throw new WrongDelivery(phase.faults.join('; '));
  const isFast = phase.latency.quantile(0.99) <= limitMs && phase.kept >= leastKept;
  const isUnbroken = Object.keys(phase.troubles).length === 0;
  // Whoever comes back after more messages than a backlog holds has been overtaken by them.
  const isOvertaken = (phase.rate * phase.latency.quantile(1)) / 1000 >= backlogSize / 2;
  if (isFast && isUnbroken && !isOvertaken && phase.undelivered > 0) {
    throw new WrongDelivery(`${phase.undelivered} deliveries are missing, at ${phase.rate} publishes a second`);
  }
  return isFast && isUnbroken && phase.undelivered === 0;
}
