import { setTimeout as delay } from 'node:timers/promises';
import { poll, stream, type WireMessage } from './server.js';

export type Mode = 'short' | 'long' | 'stream';

export interface PollingClientOptions {
  id: string;
  /** The nodes that it may ask, a random one each time. */
  urls: readonly string[];
  /** Where to begin: channel and id, as in a poll. */
  channels: Record<string, number>;
  modes: readonly Mode[];
  headers?: Record<string, string>;
  /** It hangs up at random, as a tab does that is closed or subscribes to something else. */
  isRestless?: boolean;
}

/** Polls again and again as the original's client does, and keeps what it got. */
export class PollingClient {
  readonly received = new Map<string, number[]>();
  /** Complaints about answers: wrong status, ids that jump back. */
  readonly faults: string[] = [];
  #positions: Record<string, number>;
  #sequence = 0;
  #stopped = false;
  #hangUp = new AbortController();
  #running: Promise<void>;

  constructor(private readonly options: PollingClientOptions) {
    this.#positions = { ...options.channels };
    for (const channel of Object.keys(options.channels)) this.received.set(channel, []);
    this.#running = this.#run();
  }

  position(channel: string): number {
    return this.#positions[channel] ?? 0;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#hangUp.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#hangUp = new AbortController();
      const { signal } = this.#hangUp;
      const isHangingUp = this.options.isRestless && Math.random() < 0.3;
      const timer = isHangingUp ? setTimeout(() => this.#hangUp.abort(), Math.random() * 60) : undefined;
      try {
        await this.#poll(signal);
      } catch (error) {
        if (!signal.aborted) this.faults.push(String(error));
      }
      clearTimeout(timer);
      if (Math.random() < 0.5) await delay(Math.random() * 40);
    }
  }

  async #poll(signal: AbortSignal): Promise<void> {
    const { id: client, urls, modes, headers = {} } = this.options;
    const url = pick(urls);
    const mode = pick(modes);
    const channels = { ...this.#positions, __seq: ++this.#sequence };
    if (mode === 'stream') {
      for await (const frame of stream(url, channels, { client, headers, signal })) this.#process(frame, signal);
      return;
    }
    const { status, messages } = await poll(url, channels, { client, headers, signal, dlp: mode === 'short' });
    if (status !== 200) this.faults.push(`status ${status}`);
    this.#process(messages, signal);
  }

  #process(messages: readonly WireMessage[], signal: AbortSignal): void {
    // As with XMLHttpRequest.abort(): nothing is heard of it afterwards.
    if (signal.aborted) return;
    for (const { channel, message_id: id, data } of messages) {
      if (channel === '/__status') {
        for (const [moved, to] of Object.entries(Object(data))) {
          const from = this.position(moved);
          if (from >= 0 && Number(to) < from) this.faults.push(`${moved}: moved back from ${from} to ${to}`);
          this.#positions[moved] = Number(to);
        }
      } else {
        this.#positions[channel] = id;
        this.received.get(channel)?.push(id);
      }
    }
  }
}

function pick<T>(list: readonly T[]): T {
  const item = list[Math.floor(Math.random() * list.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}
