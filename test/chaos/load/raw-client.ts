import { setTimeout as delay } from 'node:timers/promises';
import type { WireMessage } from '../../helpers/server.js';
import { identify, type Place } from '../accounting/publication.js';
import { Reader, type Viewer } from '../accounting/reader.js';
import type { Random } from '../random.js';
import { frames } from './frames.js';

const modes = ['short', 'long', 'stream'] as const;
/** A node lets polls wait for 2 s. One that says nothing for longer is asked no more. */
const silenceMs = 5_000;

export interface ClientOptions {
  readonly url: string;
  readonly viewer: Viewer;
  readonly siteId: string | null;
  readonly places: readonly Place[];
  /** Of a slow reader: how long it looks at each frame of a stream, in ms, before it takes the next one. */
  readonly pauseMs?: () => number;
}

/** Polls over plain HTTP, long, short and streamed, from where it got to, and hangs up at random. */
export class RawClient {
  readonly reader: Reader;
  readonly #positions = new Map<string, number>();
  readonly #sites: ReadonlyMap<string, string | null>;
  #sequence = 0;
  #isStopped = false;
  #hangUp = new AbortController();
  readonly #running: Promise<void>;

  constructor(
    private readonly options: ClientOptions,
    private readonly random: Random,
  ) {
    const { viewer, places } = options;
    this.reader = new Reader({
      name: `polls of ${viewer.clientId}`,
      viewer,
      places,
      isSlow: options.pauseMs !== undefined,
    });
    for (const { channel } of places) this.#positions.set(channel, 0);
    this.#sites = new Map(places.map(({ channel, siteId }) => [channel, siteId]));
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#hangUp.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      this.#hangUp = new AbortController();
      const hangUp = this.#hangUp;
      const isRestless = this.random.isBelow(0.2);
      const patience = setTimeout(() => hangUp.abort(), isRestless ? this.random.between(0, 500) : silenceMs);
      try {
        await this.#poll(hangUp.signal, patience);
      } catch {
        // The nodes are gone, or this hung up.
        this.reader.reconnects++;
        await delay(this.random.between(10, 100));
      }
      clearTimeout(patience);
      await delay(this.random.between(0, 30));
    }
  }

  async #poll(signal: AbortSignal, patience: NodeJS.Timeout): Promise<void> {
    const { url, viewer, siteId, pauseMs } = this.options;
    const mode = pauseMs ? 'stream' : this.random.pick(modes);
    const init: RequestInit = {
      headers: {
        'content-type': 'application/json',
        ...(mode !== 'stream' && { 'dont-chunk': 'true' }),
        ...headersOf(viewer, siteId),
      },
      body: JSON.stringify({ ...Object.fromEntries(this.#positions), __seq: ++this.#sequence }),
      signal,
    };
    const query = mode === 'short' ? '?dlp=t' : '';
    for await (const messages of frames(`${url}/message-bus/${viewer.clientId}/poll${query}`, init)) {
      this.#take(messages, signal);
      if (pauseMs) await delay(pauseMs());
      patience.refresh();
    }
  }

  #take(messages: readonly WireMessage[], signal: AbortSignal): void {
    // As with XMLHttpRequest.abort(): nothing is heard of it afterwards.
    if (signal.aborted) return;
    for (const { channel, message_id: messageId, global_id: globalId, data } of messages) {
      if (channel === '/__status') {
        for (const [moved, to] of Object.entries(Object(data))) this.#moveTo(moved, Number(to));
      } else {
        this.#positions.set(channel, messageId);
        const siteId = this.#sites.get(channel) ?? null;
        this.reader.receive({ channel, siteId, messageId, globalId, ...identify(data), at: Date.now() });
      }
    }
  }

  /** A status moves a client on past messages that are not for it; back, it says that ids went back. */
  #moveTo(channel: string, id: number): void {
    const from = this.#positions.get(channel) ?? 0;
    if (id < from) this.reader.gaps.push(`was moved back on ${channel} from ${from} to ${id}`);
    this.#positions.set(channel, id);
  }
}

/** Who somebody is, as the nodes' lookups are told. */
export function headersOf(viewer: Viewer, siteId: string | null): Record<string, string> {
  return {
    ...(viewer.userId !== null && { 'x-user': viewer.userId }),
    ...(viewer.groupIds.length > 0 && { 'x-groups': viewer.groupIds.join() }),
    ...(siteId !== null && { 'x-site': siteId }),
  };
}
