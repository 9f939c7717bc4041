import { type Bench, messageSize } from '../bench.js';
import type { FleetOptions, Phase, PhaseOptions } from '../generator/fleet.js';
import { Histogram } from '../generator/histogram.js';
import { requireFlawless } from '../generator/verdict.js';
import type { Profile, Run } from '../measurement.js';
import type { ServerProcess } from '../servers/server-process.js';

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
    const { generatorBusy, latency } = await this.#run();
    this.#merged = Histogram.merge([this.#merged, latency]);
    this.#histograms.push(latency);
    this.#generatorBusy = Math.max(this.#generatorBusy, generatorBusy);
  }

  async #run(): Promise<Phase> {
    const { seconds, warmUpSeconds } = this.bench.pace;
    const fleet = this.bench.fleet({ ...this.traffic, ports: [this.port] });
    await fleet.open();
    const { rate, publishers } = this.traffic;
    requireFlawless(await fleet.phase({ rate, publishers, seconds: warmUpSeconds, size: messageSize }));
    const phase = await fleet.phase({ rate, publishers, seconds, size: messageSize });
    requireFlawless(phase);
    if (phase.kept < leastKept) throw new Error(`only ${phase.kept} of the messages were published in time`);
    await fleet.close();
    return phase;
  }

  /** Where the time of the server goes meanwhile. */
  profile(server: ServerProcess, of: string): Promise<Profile> {
    return server.profile(of, () => this.#run());
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
