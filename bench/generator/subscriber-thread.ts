import { setTimeout as sleep } from 'node:timers/promises';
import { FrameDecoder } from './frames.js';
import { measurePolls } from './poll-loop.js';
import { type Mode, Subscriber } from './subscriber.js';
import { Tally, type TallyReport } from './tally.js';
import { serve } from './thread.js';

export interface Subscriptions {
  mode: Mode;
  /** Subscriber i of this thread is number `first + i * step` of all. */
  count: number;
  first: number;
  step: number;
  /** Subscriber number n polls server `n % ports.length` … */
  ports: readonly number[];
  /** … and channel `n % channels.length`. */
  channels: readonly string[];
  /** Part of the client ids, which servers remember. */
  tag: string;
}

const batch = 100;
const openPatienceMs = 60_000;

let tally = new Tally(0, 0);
let subscribers: { subscriber: Subscriber; channel: number }[] = [];
const decoder = new FrameDecoder((delivery) => tally.distinct(delivery));

const handlers = {
  /** Resolves when all wait. */
  async open({ mode, count, first, step, ports, channels, tag }: Subscriptions): Promise<void> {
    tally = new Tally(0, 0);
    for (let i = 0; i < count; i++) {
      const n = first + i * step;
      const channel = n % channels.length;
      const subscriber = new Subscriber(ports[n % ports.length] ?? 0, `${tag}-${n}`, channels[channel] ?? '', {
        mode,
        decoder,
        tally: () => tally,
      });
      subscribers.push({ subscriber, channel });
      subscriber.open();
      if (subscribers.length % batch === 0) await allReady();
    }
    await allReady();
  },

  begin({ run, total }: { run: number; total: number }): void {
    tally = new Tally(run, total);
  },

  received(): number {
    return tally.received;
  },

  report(): TallyReport {
    return tally.report();
  },

  /** How many subscribers have not got to an id of their channel. */
  behind({ lastIds }: { lastIds: Int32Array }): number {
    return subscribers.filter(({ subscriber, channel }) => subscriber.position < (lastIds[channel] ?? 0)).length;
  },

  close(): void {
    for (const { subscriber } of subscribers) subscriber.close();
    subscribers = [];
  },

  polls: measurePolls,
};

async function allReady(): Promise<void> {
  const deadline = Date.now() + openPatienceMs;
  while (subscribers.some(({ subscriber }) => !subscriber.isReady)) {
    if (Date.now() > deadline) throw new Error(`subscribers were not answered: ${JSON.stringify(tally.troubles)}`);
    await sleep(5);
  }
}

export type SubscriberThread = typeof handlers;

serve(handlers);
