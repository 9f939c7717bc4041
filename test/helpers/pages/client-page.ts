import { createReadStream, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';
import type { BrowserContext, Page, Request } from 'playwright-core';
import type { ClientSettings } from '../../../src/client/settings.js';
import { until } from '../until.js';

const require = createRequire(import.meta.url);
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const files: Record<string, string> = {
  'client.html': here('client.html'),
  'jquery.html': here('jquery.html'),
  'guide.html': here('guide.html'),
  'recorder.js': here('recorder.js'),
  'ajax.js': here('../../../demo/ajax.js'),
  'jquery.js': require.resolve('jquery'),
};
/** Scripts that set the global `MessageBus`. Pages are the same for all of them. */
const scripts = {
  original: require.resolve('message-bus-client/assets/message-bus.js'),
  postbus: here('../../../dist/client/page/message-bus.js'),
};
export type ClientName = keyof typeof scripts;
export const clientNames: readonly ClientName[] = ['original', 'postbus'];
export const pageNames = ['client.html', 'jquery.html', 'guide.html'] as const;
const guide = here('../../../docs/clients.md');

/** Pages for the application under test to serve: a folder for each client, in which nothing but its script differs. */
export function servePages(app: FastifyInstance): void {
  const [, adapter = ''] = /## Without jQuery.*?<script>\n(.*?)<\/script>/s.exec(readFileSync(guide, 'utf8')) ?? [];
  for (const [client, script] of Object.entries(scripts)) {
    app.get(`/${client}/guide-adapter.js`, (_request, reply) =>
      reply.type('text/javascript; charset=utf-8').send(adapter),
    );
    for (const [name, path] of Object.entries({ ...files, 'message-bus.js': script })) {
      const type = name.endsWith('.html') ? 'text/html; charset=utf-8' : 'text/javascript; charset=utf-8';
      app.get(`/${client}/${name}`, (_request, reply) => reply.type(type).send(createReadStream(path)));
    }
  }
}

/** One call of a callback. */
export interface Received {
  callback: string;
  data: unknown;
  globalId: number;
  messageId: number;
}

export interface Answer {
  /** Of the poll. */
  query: string;
  status: number;
  contentType: string | undefined;
}

/** Those settings of the client that tests change. */
export type Settings = Partial<Omit<ClientSettings, 'fetch' | 'shouldLongPollCallback'>>;

export interface Opening {
  client: ClientName;
  page?: (typeof pageNames)[number];
  settings?: Settings;
}

// In the page.
declare const MessageBus: Settings & {
  clientId: string;
  callbacks: { channel: string; last_id: number }[];
  unsubscribe(channel: string, callback?: unknown): boolean;
  pause(): void;
  resume(): void;
};
declare const recorder: {
  received: Received[];
  callbacks: Record<string, unknown>;
  subscribe(channel: string, lastId: number | undefined, name: string): void;
  hangOn(path: string): void;
  setHidden(hidden: boolean): void;
};

/** A browser tab with a client. */
export class ClientPage {
  /** What the client or the page found wrong. */
  readonly complaints: string[] = [];
  /** In the order that they were sent. */
  readonly polls: Request[] = [];
  /** When, by performance.now() of the test. */
  readonly pollTimes: number[] = [];
  /** In the order that they began. */
  readonly answers: Answer[] = [];

  private constructor(readonly page: Page) {
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('console', (message) => {
      if (/FAIL|a callback of/.test(message.text())) this.complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (request.method() !== 'POST') return;
      this.polls.push(request);
      this.pollTimes.push(performance.now());
    });
    page.on('response', (response) => {
      if (response.request().method() !== 'POST') return;
      const contentType = response.headers()['content-type'];
      this.answers.push({ query: new URL(response.url()).search, status: response.status(), contentType });
    });
  }

  static async open(
    context: BrowserContext,
    url: string,
    { client, page = 'client.html', settings = {} }: Opening,
  ): Promise<ClientPage> {
    const opened = new ClientPage(await context.newPage());
    await opened.page.goto(`${url}/${client}/${page}`);
    await opened.page.evaluate((changed) => {
      Object.assign(MessageBus, changed);
    }, settings);
    return opened;
  }

  /** `name` tells callbacks apart where a channel has several. */
  async subscribe(channel: string, lastId?: number, name = channel): Promise<void> {
    await this.page.evaluate(([to, from, as]) => recorder.subscribe(to, from, as), [channel, lastId, name] as const);
  }

  /** As in the client: a `*` at the end of the channel stands for anything; with a name, only that callback. */
  unsubscribe(channel: string, name?: string): Promise<boolean> {
    return this.page.evaluate(
      ([from, of]) => MessageBus.unsubscribe(from, of === undefined ? undefined : recorder.callbacks[of]),
      [channel, name] as const,
    );
  }

  pause(): Promise<void> {
    return this.page.evaluate(() => MessageBus.pause());
  }

  resume(): Promise<void> {
    return this.page.evaluate(() => MessageBus.resume());
  }

  /** As far as the page can tell: another tab comes to the front. A headless browser shows all of its tabs. */
  hide(): Promise<void> {
    return this.#setHidden(true);
  }

  show(): Promise<void> {
    return this.#setHidden(false);
  }

  async #setHidden(hidden: boolean): Promise<void> {
    await this.page.evaluate((value) => recorder.setHidden(value), hidden);
  }

  /** The page stands still until this path is answered. */
  async hangOn(path: string): Promise<void> {
    await this.page.evaluate((url) => recorder.hangOn(url), path);
  }

  clientId(): Promise<string> {
    return this.page.evaluate(() => MessageBus.clientId);
  }

  received(): Promise<Received[]> {
    return this.page.evaluate(() => recorder.received);
  }

  /** Where the client stands in a channel; -1 until it was told. */
  position(channel: string): Promise<number | undefined> {
    return this.page.evaluate((of) => MessageBus.callbacks.find((each) => each.channel === of)?.last_id, channel);
  }

  async untilPosition(channel: string, id: number): Promise<void> {
    await until(async () => (await this.position(channel)) === id, `the page is at ${id} of ${channel}`);
  }

  async untilAtLeast(channel: string, id: number): Promise<void> {
    await until(
      async () => ((await this.position(channel)) ?? -1) >= id,
      `the page is at ${id} of ${channel} or further`,
    );
  }

  async untilReceived(count: number): Promise<void> {
    const enough = () => this.page.evaluate((wanted) => recorder.received.length >= wanted, count);
    await until(enough, `the page has received ${count} messages`);
  }
}
