import { type Bench, messageSize } from '../bench.js';
import type { FleetOptions, PhaseOptions } from '../generator/fleet.js';
import { Histogram } from '../generator/histogram.js';
import { requireFlawless } from '../generator/verdict.js';
import type { Run } from '../measurement.js';

type Traffic = Omit<FleetOptions, 'ports'> & Pick<PhaseOptions, 'rate' | 'publishers'>;

const leastKept = 0.9;

/** How long messages take to a server's clients, from run to run. */
export class Latencies {
  #merged = new Histogram();
  #histograms: Histogram[] = [];
  #generatorBusy = 0;

  constructor(
    private readonly bench: Bench,
    private readonly port: number,
    private readonly traffic: Traffic,
  ) {}

  async measure(): Promise<void> {
    const { seconds, warmUpSeconds } = this.bench.pace;
    const fleet = this.bench.fleet({ ...this.traffic, ports: [this.port] });
    await fleet.open();
    const { rate, publishers } = this.traffic;
    requireFlawless(await fleet.phase({ rate, publishers, seconds: warmUpSeconds, size: messageSize }));
    const phase = await fleet.phase({ rate, publishers, seconds, size: messageSize });
    requireFlawless(phase);
    if (phase.kept < leastKept) throw new Error(`only ${phase.kept} of the messages were published in time`);
    await fleet.close();
    this.#merged = Histogram.merge([this.#merged, phase.latency]);
    this.#histograms.push(phase.latency);
    this.#generatorBusy = Math.max(this.#generatorBusy, phase.generatorBusy);
  }

  /** A quantile of each run, in ms. */
  runs(quantile: number): Run[] {
    return this.#histograms.map((histogram) => ({
      value: histogram.quantile(quantile),
      generatorBusy: this.#generatorBusy,
    }));
  }

  /** Of all runs together: ms by percentile. */
  get curve(): [x: number, y: number][] {
    const { p50, p95, p99 } = this.#merged.quantiles;
    return [
      [50, p50],
      [95, p95],
      [99, p99],
    ];
  }
}
