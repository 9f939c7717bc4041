import { type Bench, messageSize } from '../bench.js';
import type { Load, LoadReport, LoadThread } from '../database/load-thread.js';
import { plainChannel, plainTable } from '../database/statements.js';
import type { Thread } from '../generator/thread.js';
import type { Profile, Run } from '../measurement.js';
import { profileBackends } from '../profile/backend-profile.js';
import { profileFunctions } from '../profile/function-profile.js';

export type DatabaseRun = LoadReport & Pick<Run, 'generatorBusy'>;

/** A database with the bus and a plain table in it, and a thread that calls either. */
export class StatementLoad {
  private constructor(
    private readonly bench: Bench,
    readonly url: string,
    private readonly thread: Thread<LoadThread>,
  ) {}

  static async open(bench: Bench): Promise<StatementLoad> {
    const url = await bench.database();
    const client = await bench.connect(url);
    await client.query(plainTable);
    const { rows } = await client.query<{ name: string }>(
      'select notify_channel as name from message_bus.node_state()',
    );
    await bench.listen(url, plainChannel);
    await bench.listen(url, rows[0]?.name ?? '');
    return new StatementLoad(bench, url, bench.load());
  }

  async run(load: Pick<Load, 'kind' | 'inFlight' | 'channels'>): Promise<DatabaseRun> {
    const { seconds, warmUpSeconds } = this.bench.pace;
    // What the run before has left to be written is not this one's.
    await this.bench.admin('checkpoint');
    this.thread.busy();
    const report = await this.thread.call('run', {
      ...load,
      seconds,
      warmUpSeconds,
      url: this.url,
      size: messageSize,
    });
    const generatorBusy = this.thread.busy();
    const rate = Math.round(report.messagesPerSecond);
    this.bench.log(
      `  ${load.kind}, ${load.inFlight} in flight, ${load.channels} channels: ${rate}/s, p50 ${report.p50.toFixed(2)} ms, ` +
        `p99 ${report.p99.toFixed(2)} ms, generator ${Math.round(100 * generatorBusy)} %`,
    );
    return { ...report, generatorBusy };
  }

  /** Where the time of Postgres goes. */
  async profile(load: Pick<Load, 'kind' | 'inFlight' | 'channels'>): Promise<Profile[]> {
    const of = `${load.kind}, ${load.inFlight} in flight, ${load.channels === 1 ? 'one channel' : `${load.channels} channels`}`;
    return [
      await profileBackends(this.url, `busy sessions of Postgres: ${of}`, () => this.run(load)),
      await profileFunctions(this.url, `functions of the bus, of what all of them take: ${of}`, () => this.run(load)),
    ];
  }
}

export function rateOf({ messagesPerSecond, generatorBusy }: DatabaseRun): Run {
  return { value: messagesPerSecond, generatorBusy };
}

export function p99Of({ p99, generatorBusy }: DatabaseRun): Run {
  return { value: p99, generatorBusy };
}
