import { type Bench, messageSize } from '../bench.js';
import { findSaturation } from '../generator/saturation.js';
import type { Mode } from '../generator/subscriber.js';
import type { Profile, Run } from '../measurement.js';
import type { ServerProcess } from '../servers/server-process.js';

export interface SaturationOptions {
  name: string;
  mode: Mode;
  ports: readonly number[];
  /** Connections that publish, each waiting for an answer before it goes on. */
  publishers: number;
}

/** Searches, again and again, the saturation of servers that share a bus; a search begins near what the last one found. */
export class Saturation {
  readonly runs: Run[] = [];
  /** Of each run, the share of the machine's cores that were busy. */
  readonly machineBusy: number[] = [];
  #start: number;

  constructor(
    private readonly bench: Bench,
    private readonly options: SaturationOptions,
  ) {
    this.#start = bench.pace.startRate;
  }

  async measure(): Promise<void> {
    await this.bench.within((bench) => this.#search(bench));
  }

  /** Where the time of one of the servers goes at a rate near the highest. */
  async profile(server: ServerProcess): Promise<Profile> {
    const { mode, ports, publishers } = this.options;
    const { crowd, seconds } = this.bench.pace;
    return this.bench.within(async (bench) => {
      const fleet = bench.fleet({ ports, mode, subscribers: crowd, channels: 1 });
      await fleet.open();
      // Half of the best one is where a next search would start.
      const rate = Math.round(1.8 * this.#start);
      return server.profile(`the server at ${rate} messages a second of ${publishers} publishers`, () =>
        fleet.phase({ rate, seconds, publishers, size: messageSize }),
      );
    });
  }

  async #search(bench: Bench): Promise<void> {
    const { mode, name, ports, publishers } = this.options;
    const { crowd, stepSeconds, startRate } = bench.pace;
    const fleet = bench.fleet({ ports, mode, subscribers: crowd, channels: 1 });
    await fleet.open();
    const best = await findSaturation(fleet, {
      start: this.#start,
      seconds: stepSeconds,
      publishers,
      size: messageSize,
      onStep: (phase, isCarried) => {
        const { p50, p99 } = phase.latency.quantiles;
        bench.log(
          `  ${name}, ${publishers} publish: ${phase.rate} messages/s, ${Math.round(phase.deliveriesPerSecond)} deliveries/s, p50 ${p50.toFixed(1)} ms, ` +
            `p99 ${p99.toFixed(1)} ms, generator ${Math.round(100 * phase.generatorBusy)} %${isCarried ? '' : ': too much'}`,
        );
      },
    });
    this.#start = Math.max(startRate, Math.floor(best.rate / 2));
    this.runs.push({ value: best.deliveriesPerSecond, generatorBusy: best.generatorBusy });
    this.machineBusy.push(best.machineBusy);
  }
}
