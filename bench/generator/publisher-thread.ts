import { now } from './clock.js';
import { Connection, postRequest } from './connection.js';
import { Histogram, type HistogramData } from './histogram.js';
import { makePayload } from './payload.js';
import { serve } from './thread.js';

export interface Publishing {
  run: number;
  /** Messages a second, and how many in all. */
  rate: number;
  total: number;
  /** Bytes of data. */
  size: number;
  /** Connection number c goes to server `c % ports.length`. */
  connections: number;
  ports: readonly number[];
  channels: readonly string[];
}

export interface Published {
  /** By number in the phase: the id that the server answered, 0 where it answered something else; the channel's index. */
  ids: Int32Array;
  channelOf: Uint32Array;
  acknowledged: number;
  seconds: number;
  /** Ids that did not rise from one publish of a connection and channel to the next. */
  misordered: number;
  troubles: Record<string, number>;
  latency: HistogramData;
}

const patienceMs = 20_000;

/** Publishes by `POST /publish?channel=…`, one message at a time. */
class HttpPublisher {
  #connection: Connection;
  #answer: ((id: number) => void) | undefined;
  #lastIds = new Map<number, number>();
  readonly opened: Promise<void>;
  isLost = false;
  misordered = 0;

  constructor(port: number, trouble: (what: string) => void) {
    let status = 0;
    let body = '';
    let open: () => void = () => {};
    this.opened = new Promise((resolve) => {
      open = resolve;
    });
    this.#connection = new Connection(port, {
      onOpen: open,
      onHead: (answered) => {
        status = answered;
        body = '';
      },
      onBody: (text) => {
        body += text;
      },
      onEnd: () => {
        if (status !== 200) trouble(`publish answered ${status}`);
        this.#settle(status === 200 ? Number(body) : 0);
      },
      onLost: (reason) => {
        this.isLost = true;
        trouble(`publisher: ${reason}`);
        open();
        this.#settle(0);
      },
    });
  }

  /** Resolves to the id; 0 when it failed. */
  async publish(channel: number, name: string, data: string): Promise<number> {
    const id = await new Promise<number>((resolve) => {
      this.#answer = resolve;
      this.#connection.send(postRequest(`/publish?channel=${encodeURIComponent(name)}`, 'application/json', data));
    });
    if (id > 0) {
      if (id <= (this.#lastIds.get(channel) ?? 0)) this.misordered++;
      this.#lastIds.set(channel, id);
    }
    return id;
  }

  close(): void {
    this.#connection.close();
  }

  #settle(id: number): void {
    const answer = this.#answer;
    this.#answer = undefined;
    answer?.(id);
  }
}

const handlers = {
  /** Sends on a schedule, whether or not earlier messages are answered, as long as a connection is free. */
  async publish({ run, rate, total, size, connections, ports, channels }: Publishing): Promise<Published> {
    const ids = new Int32Array(total);
    const channelOf = Uint32Array.from({ length: total }, () => Math.floor(Math.random() * channels.length));
    const latency = new Histogram();
    const troubles: Record<string, number> = {};
    const trouble = (what: string) => {
      troubles[what] = (troubles[what] ?? 0) + 1;
    };
    const all = Array.from({ length: connections }, (_, i) => new HttpPublisher(ports[i % ports.length] ?? 0, trouble));
    await Promise.all(all.map((publisher) => publisher.opened));
    const free = [...all];
    let next = 0;
    let acknowledged = 0;
    const started = now();
    const end = started + (total / rate) * 1e6;

    const send = async (publisher: HttpPublisher) => {
      const n = next++;
      const at = now();
      const channel = channelOf[n] ?? 0;
      const data = JSON.stringify(makePayload(run, n, at, size));
      const id = await publisher.publish(channel, channels[channel] ?? '', data);
      if (id > 0) {
        ids[n] = id;
        acknowledged++;
        latency.add(now() - at);
      }
      if (!publisher.isLost) free.push(publisher);
    };

    await new Promise<void>((done) => {
      let inFlight = 0;
      const timer = setInterval(() => {
        const at = now();
        const due = Math.min(total, Math.floor(((at - started) * rate) / 1e6) + 1);
        while (at < end && next < due) {
          const publisher = free.shift();
          if (!publisher) break;
          inFlight++;
          void send(publisher).then(() => inFlight--);
        }
        const isOver = next === total || at >= end;
        if ((isOver && inFlight === 0) || at > end + patienceMs * 1000) {
          clearInterval(timer);
          done();
        }
      }, 1);
    });

    const seconds = (now() - started) / 1e6;
    for (const publisher of all) publisher.close();
    const misordered = all.reduce((sum, publisher) => sum + publisher.misordered, 0);
    return { ids, channelOf, acknowledged, seconds, misordered, troubles, latency };
  },
};

export type PublisherThread = typeof handlers;

serve(handlers);
