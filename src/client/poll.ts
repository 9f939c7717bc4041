import { messagesOf, readAnswer } from './answer.js';
import { type Callback, PollPositions, type WireMessage } from './positions.js';
import type { ClientSettings } from './settings.js';
import { startTimer, type Timer } from './timer.js';

export interface PollMode {
  /** True if the poll may wait on the server. */
  waits: boolean;
  /** True if the poll may be answered by a stream. */
  streams: boolean;
}

/** Called with the messages that have come; `isOver` is true if no more can follow. */
type OnMessages = (messages: WireMessage[], isOver: boolean) => void;

/** The server wants no polls for `ms`; undefined if it did not say for how long. */
export class RateLimited extends Error {
  constructor(readonly ms: number | undefined) {
    super('429: the server wants no polls for a while');
  }
}

// If a backlog is longer than a page, the server sends at least this many characters of it.
const pageLength = 512 * 1024;

/** One request, from what it asks for to the end of its answer. */
export class Poll {
  readonly positions: PollPositions;
  readonly waits: boolean;
  readonly streams: boolean;
  /** True if the poll brought messages. */
  isNews = false;
  /** True if the poll was given up, because nothing had come for too long. */
  isGivenUp = false;
  #bytes = 0;
  #watchdog: Timer | undefined;
  /** The fault of a stream of which no frame has made sense yet. */
  #fault: Error | undefined;
  readonly #startedAt = performance.now();
  readonly #controller = new AbortController();

  constructor(
    private readonly settings: ClientSettings,
    callbacks: readonly Callback[],
    { waits, streams }: PollMode,
  ) {
    this.positions = new PollPositions(callbacks);
    this.waits = waits;
    this.streams = streams && !this.positions.isSettling;
  }

  /** Ms since the poll began. */
  get elapsed(): number {
    return performance.now() - this.#startedAt;
  }

  /** True if this poll shows that the next one has more to fetch. */
  get isPartial(): boolean {
    return this.positions.isSettling || this.#bytes >= pageLength;
  }

  /** True if a stream was asked for, and was given up before a byte of it came. */
  get isHeldUp(): boolean {
    return this.isGivenUp && this.streams && this.#bytes === 0;
  }

  abort(): void {
    clearTimeout(this.#watchdog);
    this.#controller.abort();
  }

  /**
   * Sends the poll. Resolves at the end of the answer; `onMessages` is called with each part of it. Rejects with a
   * RateLimited if the server answers 429, and with another error if the poll fails otherwise or is aborted.
   */
  async send(clientId: string, sequence: number, onMessages: OnMessages): Promise<void> {
    const { signal } = this.#controller;
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
    });
    try {
      // `fetch` may be the page's own function, which may ignore the signal.
      await Promise.race([this.#exchange(clientId, sequence, onMessages), aborted]);
    } finally {
      // Do not read the rest of an answer that makes no sense.
      this.abort();
    }
  }

  async #exchange(clientId: string, sequence: number, onMessages: OnMessages): Promise<void> {
    const { baseUrl, headers, fetch, firstChunkTimeout, pollTimeout } = this.settings;
    const { signal } = this.#controller;
    this.#expectChunk(this.streams ? firstChunkTimeout : pollTimeout);
    const base = baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`;
    const response = await fetch(
      `${base}message-bus/${encodeURIComponent(clientId)}/poll${this.waits ? '' : '?dlp=t'}`,
      {
        method: 'POST',
        headers: definedOf({ ...headers, 'Dont-Chunk': this.streams ? undefined : 'true' }),
        body: new URLSearchParams([...this.positions.asked, ['__seq', `${sequence}`]]),
        signal,
      },
    );
    if (!response.ok) {
      const text = await response.text();
      // As in the original client, the messages of a stream count whatever its status.
      const messages = messagesOf(text);
      if (messages.length > 0) onMessages(messages, true);
      throw toError(response.status, text, response.headers.get('retry-after'));
    }
    const onChunk = (bytes: number) => {
      this.#bytes += bytes;
      this.#expectChunk(pollTimeout);
    };
    let isSound = false;
    const isWhole = response.headers.get('content-type')?.startsWith('application/json') ?? false;
    for await (const part of readAnswer(response, !isWhole, onChunk)) {
      // A callback may have changed the subscriptions, which aborts this poll.
      if (signal.aborted) break;
      if (part instanceof Error) {
        if (isSound) reportFrame(part);
        else {
          this.#fault = part;
          // This may be the page of a proxy, and no stream at all: wait less for more of it.
          this.#expectChunk(firstChunkTimeout);
        }
        continue;
      }
      if (this.#fault) reportFrame(this.#fault);
      this.#fault = undefined;
      isSound = true;
      this.isNews ||= part.length > 0;
      onMessages(part, isWhole);
    }
    if (this.#fault) throw this.#fault;
  }

  #expectChunk(within: number): void {
    if (this.#controller.signal.aborted) return;
    clearTimeout(this.#watchdog);
    this.#watchdog = startTimer(() => {
      this.isGivenUp = this.#fault === undefined;
      this.#controller.abort(this.#fault);
    }, within);
  }
}

/** Logs that a frame was left out. The rest of its stream counts all the same. */
function reportFrame(fault: Error): void {
  console.warn('MessageBus: part of a stream was left out.', fault);
}

/** Leaves out undefined and null, which fetch would send as words. */
function definedOf(headers: ClientSettings['headers']): Record<string, string> {
  const defined: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) if (value != null) defined[name] = value;
  return defined;
}

/** Makes an error of the status, the text and the `Retry-After` header of an answer that is not a success. */
function toError(status: number, text: string, after: string | null): Error {
  if (status !== 429) return new Error(`${status} ${text.slice(0, 500)}`);
  // `Retry-After` holds seconds, or a date (RFC 9110, 10.2.3).
  let ms = Number(after) * 1_000;
  // At random, because all clients that are told the same moment would come back at once.
  ms ||= (Date.parse(after ?? '') - Date.now()) * (1 + Math.random() / 10);
  return new RateLimited(ms > 0 ? ms : undefined);
}
