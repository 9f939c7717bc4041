import type { Test } from 'tap';
import { type ClientSettings, MessageBusClient } from '../../src/client/index.js';
import { until } from './until.js';

export interface SentPoll {
  /** Ms, by performance.now(). */
  at: number;
  query: string;
  headers: Headers;
  body: Record<string, string>;
}

/** As long as a test may take, and longer: what happens sooner does not wait for a regular poll. */
export const never = 3_600_000;

/** Our client in this process, and what it does; stopped with the test. */
export class RecordedClient {
  readonly client: MessageBusClient;
  readonly polls: SentPoll[] = [];
  /** Ids of messages by the name of the callback. */
  readonly received = new Map<string, number[]>();
  readonly data: unknown[] = [];

  constructor(t: Test, baseUrl: string, settings: Partial<ClientSettings> = {}) {
    const record: ClientSettings['fetch'] = (url, init) => {
      const body = Object.fromEntries(new URLSearchParams(String(init.body)));
      this.polls.push({ at: performance.now(), query: new URL(url).search, headers: new Headers(init.headers), body });
      return (settings.fetch ?? fetch)(url, init);
    };
    const quick = { minPollInterval: 5, callbackInterval: never, backgroundCallbackInterval: never };
    this.client = new MessageBusClient({ baseUrl, ...quick, ...settings, fetch: record });
    t.teardown(() => this.client.stop());
  }

  /** `name` tells callbacks apart where a channel has several; `then` is called with each message that came. */
  subscribe(channel: string, lastId?: number, name = channel, then: (id: number) => unknown = () => {}) {
    const ids = this.received.get(name) ?? [];
    this.received.set(name, ids);
    return this.client.subscribe(
      channel,
      (data, _globalId, messageId) => {
        ids.push(messageId);
        this.data.push(data);
        return then(messageId);
      },
      lastId,
    );
  }

  ids(name: string): number[] {
    return this.received.get(name) ?? [];
  }

  /** Where all callbacks of a channel are. */
  positions(channel: string): number[] {
    return this.client.callbacks.filter((each) => each.channel === channel).map((each) => each.last_id);
  }

  async untilAt(channel: string, id: number): Promise<void> {
    const areThere = () => this.positions(channel).every((position) => position === id);
    await until(areThere, `all callbacks of ${channel} are at ${id}`);
  }
}

export function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
}
