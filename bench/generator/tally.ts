import type { Delivery, Frame } from './frames.js';
import { Histogram, type HistogramData } from './histogram.js';

/** What a thread's subscribers were sent during a phase; plain data. */
export interface TallyReport {
  received: number;
  latency: HistogramData;
  /** When the last message came, on the clock of now(). */
  lastAt: number;
  /** Ids that came again or after a higher one. */
  repeated: number;
  /** Ids that were passed over. */
  missed: number;
  /** Messages of another channel than asked for. */
  misrouted: number;
  /** Messages whose content came under two ids. */
  altered: number;
  /** By number in the phase, the id under which a message came; 0: it did not come. */
  idOf: Int32Array;
  /** Connections lost and answers other than 200, by what happened. */
  troubles: Record<string, number>;
}

/**
 * Counts and checks. Ids of a channel are 1, 2, 3 …: a subscriber that is sent exactly the next one each time has got
 * everything once and in order.
 */
export class Tally implements TallyReport {
  received = 0;
  latency = new Histogram();
  lastAt = 0;
  repeated = 0;
  missed = 0;
  misrouted = 0;
  altered = 0;
  idOf = new Int32Array(0);
  troubles: Record<string, number> = {};

  constructor(
    private readonly run: number,
    total: number,
  ) {
    this.idOf = new Int32Array(total);
  }

  report(): TallyReport {
    const { received, latency, lastAt, repeated, missed, misrouted, altered, idOf, troubles } = this;
    return { received, latency, lastAt, repeated, missed, misrouted, altered, idOf, troubles };
  }

  trouble(what: string): void {
    this.troubles[what] = (this.troubles[what] ?? 0) + 1;
  }

  distinct({ run, n, id }: Delivery): void {
    if (run !== this.run) return;
    const before = this.idOf[n];
    if (before !== 0 && before !== id) this.altered++;
    this.idOf[n] = id;
  }

  /** Returns the subscriber's new position. */
  take(channel: string, position: number, { deliveries }: Frame, at: number): number {
    let expected = position + 1;
    for (const delivery of deliveries) {
      if (delivery.channel !== channel) {
        this.misrouted++;
        continue;
      }
      if (delivery.id < expected) {
        this.repeated++;
        continue;
      }
      this.missed += delivery.id - expected;
      expected = delivery.id + 1;
      if (delivery.run !== this.run) continue;
      this.received++;
      this.latency.add(at - delivery.at);
    }
    if (deliveries.length > 0) this.lastAt = at;
    return expected - 1;
  }
}
