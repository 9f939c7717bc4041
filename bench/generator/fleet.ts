import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { now } from './clock.js';
import { CoreUsage } from './core-usage.js';
import { Histogram } from './histogram.js';
import type { PollLoop, PollReport } from './poll-loop.js';
import type { Published, PublisherThread } from './publisher-thread.js';
import type { Mode } from './subscriber.js';
import type { SubscriberThread } from './subscriber-thread.js';
import { Thread } from './thread.js';
import { type Judged, judge } from './verdict.js';

export interface FleetOptions {
  /** The servers that are polled, and those that are published to, where these are others. */
  ports: readonly number[];
  publishTo?: readonly number[];
  mode: Mode;
  subscribers: number;
  /** How many channels the subscribers are spread over. */
  channels: number;
}

export interface PhaseOptions {
  /** Publishes a second, for so many seconds. */
  rate: number;
  seconds: number;
  /** Connections that publish. */
  publishers: number;
  /** Bytes of data. */
  size: number;
  /** How long to wait for a next delivery before the rest counts as missing. */
  patienceMs?: number;
}

export interface Phase extends Judged {
  rate: number;
  deliveriesPerSecond: number;
  latency: Histogram;
  /** Share of its time in which the busiest thread of the generator had work. */
  generatorBusy: number;
  /** Share of the machine's cores that was busy, with whatever. */
  machineBusy: number;
}

const threads = 2;
const defaultPatienceMs = 3_000;
const settleMs = 300;

/** Subscribers in threads of their own, and a thread that publishes to them. */
export class Fleet {
  readonly #publisher = new Thread<PublisherThread>(new URL('./publisher-thread.js', import.meta.url));
  readonly #subscribers = Array.from(
    { length: threads },
    () => new Thread<SubscriberThread>(new URL('./subscriber-thread.js', import.meta.url)),
  );
  #channels: string[] = [];
  #lastIds = new Int32Array(0);
  #runs = Math.floor(Math.random() * 1e6) * 1000;

  constructor(private readonly options: FleetOptions) {}

  /** Opens all subscribers, on channels that nothing was published to. */
  async open(): Promise<void> {
    const { mode, subscribers, channels, ports } = this.options;
    const tag = randomBytes(4).toString('hex');
    this.#channels = Array.from({ length: channels }, (_, i) => `/bench/${tag}/${i}`);
    this.#lastIds = new Int32Array(channels);
    await Promise.all(
      this.#subscribers.map((thread, first) => {
        const count = Math.floor((subscribers - first + threads - 1) / threads);
        return thread.call('open', { mode, count, first, step: threads, ports, channels: this.#channels, tag });
      }),
    );
    // A long poll is sent when it counts as ready; let the server take it in.
    await sleep(settleMs);
  }

  async reopen(): Promise<void> {
    await Promise.all(this.#subscribers.map((thread) => thread.call('close')));
    await sleep(settleMs);
    await this.open();
  }

  /** Publishes for a while and checks what the subscribers received. */
  async phase({ rate, seconds, publishers, size, patienceMs }: PhaseOptions): Promise<Phase> {
    const { ports, publishTo = ports } = this.options;
    const run = ++this.#runs;
    const total = Math.max(1, Math.round(rate * seconds));
    await Promise.all(this.#subscribers.map((thread) => thread.call('begin', { run, total })));
    this.#busiest();
    const cores = new CoreUsage();
    const started = now();
    const published = await this.#publisher.call('publish', {
      run,
      rate,
      total,
      size,
      connections: publishers,
      ports: publishTo,
      channels: this.#channels,
    });
    const publishedAt = now();
    const expected = published.acknowledged * (this.options.subscribers / this.options.channels);
    await this.#untilReceived(expected, patienceMs ?? defaultPatienceMs);
    const generatorBusy = this.#busiest();
    const machineBusy = cores.busy();
    const tallies = await Promise.all(this.#subscribers.map((thread) => thread.call('report')));
    const received = tallies.reduce((sum, tally) => sum + tally.received, 0);
    const ended = Math.max(publishedAt, ...tallies.map((tally) => tally.lastAt));
    return {
      rate,
      deliveriesPerSecond: (received / (ended - started)) * 1e6,
      latency: Histogram.merge(tallies.map((tally) => tally.latency)),
      generatorBusy,
      machineBusy,
      ...judge(published, tallies, expected, await this.#behind(published)),
    };
  }

  /** Clients that read at once, in a closed loop. */
  async polls(loop: PollLoop): Promise<PollReport & { generatorBusy: number }> {
    this.#busiest();
    const reports = await Promise.all(
      this.#subscribers.map((thread, i) => {
        const clients = Math.floor((loop.clients - i + threads - 1) / threads);
        return thread.call('polls', { ...loop, clients, tag: `${loop.tag}-${i}` });
      }),
    );
    return {
      answers: reports.reduce((sum, report) => sum + report.answers, 0),
      wrong: reports.reduce((sum, report) => sum + report.wrong, 0),
      latency: Histogram.merge(reports.map((report) => report.latency)),
      generatorBusy: this.#busiest(),
    };
  }

  async close(): Promise<void> {
    await Promise.all([this.#publisher.end(), ...this.#subscribers.map((thread) => thread.end())]);
  }

  async #untilReceived(expected: number, patienceMs: number): Promise<void> {
    let before = 0;
    let advancedAt = Date.now();
    for (;;) {
      const counts = await Promise.all(this.#subscribers.map((thread) => thread.call('received')));
      const received = counts.reduce((sum, count) => sum + count, 0);
      if (received >= expected) break;
      if (received > before) advancedAt = Date.now();
      if (Date.now() - advancedAt > patienceMs) break;
      before = received;
      await sleep(10);
    }
    // What comes beyond it would be a duplicate.
    await sleep(100);
  }

  /** How many subscribers have not got to the last id that a publisher was answered. */
  async #behind({ ids, channelOf }: Published): Promise<number> {
    for (const [n, id] of ids.entries()) {
      const channel = channelOf[n] ?? 0;
      this.#lastIds[channel] = Math.max(this.#lastIds[channel] ?? 0, id);
    }
    const counts = await Promise.all(
      this.#subscribers.map((thread) => thread.call('behind', { lastIds: this.#lastIds })),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  #busiest(): number {
    return Math.max(...[this.#publisher, ...this.#subscribers].map((thread) => thread.busy()));
  }
}
