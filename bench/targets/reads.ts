import type { Bench } from '../bench.js';
import type { Fleet } from '../generator/fleet.js';
import { WrongDelivery } from '../generator/verdict.js';
import type { Run } from '../measurement.js';
import { publishOver } from './publish-over-http.js';

export interface ReadsOptions {
  clients: number;
  /** Messages in the channel, and the id from which they are read. */
  messages: number;
  position: number;
}

/** Clients that read a channel of a server at once (`dlp=t`), from run to run. */
export class Reads {
  readonly runs: Run[] = [];

  private constructor(
    private readonly bench: Bench,
    private readonly name: string,
    private readonly port: number,
    private readonly fleet: Fleet,
    private readonly options: ReadsOptions,
  ) {}

  static async open(bench: Bench, name: string, port: number, options: ReadsOptions): Promise<Reads> {
    await publishOver(port, channel, options.messages);
    const fleet = bench.fleet({ ports: [port], mode: 'long poll', subscribers: 0, channels: 1 });
    return new Reads(bench, name, port, fleet, options);
  }

  async measure(): Promise<void> {
    const { pace, log } = this.bench;
    const { clients, messages, position } = this.options;
    const loop = { port: this.port, clients, channel, position, lastId: messages, tag: 'reader' };
    await this.fleet.polls({ ...loop, seconds: pace.warmUpSeconds });
    const { answers, wrong, generatorBusy } = await this.fleet.polls({ ...loop, seconds: pace.seconds });
    if (wrong > 0) throw new WrongDelivery(`${wrong} of ${answers + wrong} polls were not answered with what is there`);
    const value = answers / pace.seconds;
    log(`  ${this.name}: ${Math.round(value)} polls/s, generator ${Math.round(100 * generatorBusy)} %`);
    this.runs.push({ value, generatorBusy });
  }
}

const channel = '/bench/reads';
