import { messagesOf, readAnswer } from './answer.js';
import { type Callback, PollPositions, type WireMessage } from './positions.js';
import type { ClientSettings } from './settings.js';
import { startTimer, type Timer } from './timer.js';

export interface PollMode {
  /** Whether it may wait on the server. */
  waits: boolean;
  /** Whether it may be answered by a stream. */
  streams: boolean;
}

/** Called with what has come; `isOver` if nothing can follow. */
type OnMessages = (messages: WireMessage[], isOver: boolean) => void;

/** The server wants no polls for a while: so many ms, where it says so. */
export class RateLimited extends Error {
  constructor(readonly ms: number | undefined) {
    super('429: the server wants no polls for a while');
  }
}

// Of a backlog that has more, the server sends a page of so many characters at least.
const pageLength = 512 * 1024;

/** One request, from what it asks for to the end of its answer. */
export class Poll {
  readonly positions: PollPositions;
  readonly waits: boolean;
  readonly streams: boolean;
  /** Whether it brought messages. */
  isNews = false;
  /** Whether nothing had come of it for too long. */
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

  /** In ms. */
  get elapsed(): number {
    return performance.now() - this.#startedAt;
  }

  /** Whether the next poll has more to fetch, as far as this one tells. */
  get isPartial(): boolean {
    return this.positions.isSettling || this.#bytes >= pageLength;
  }

  /** Whether a stream was asked for, and not a byte of it came. */
  get isHeldUp(): boolean {
    return this.isGivenUp && this.streams && this.#bytes === 0;
  }

  abort(): void {
    clearTimeout(this.#watchdog);
    this.#controller.abort();
  }

  /** Resolves at the end of the answer; `onMessages` is called with each part of it. */
  async send(clientId: string, sequence: number, onMessages: OnMessages): Promise<void> {
    const { signal } = this.#controller;
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
    });
    try {
      // `fetch` may be a function of the page's that knows nothing of signals.
      await Promise.race([this.#exchange(clientId, sequence, onMessages), aborted]);
    } finally {
      // What is left of an answer that makes no sense is not read.
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
      // As in the original, the messages of a stream count whatever its status.
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
      // A callback may have changed what is to be asked for.
      if (signal.aborted) break;
      if (part instanceof Error) {
        if (isSound) reportFrame(part);
        else {
          this.#fault = part;
          // It may be the page of a proxy, and no stream at all.
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

/** The rest of its stream counts all the same. */
function reportFrame(fault: Error): void {
  console.warn('MessageBus: part of a stream was left out.', fault);
}

/** Without undefined values, which would be sent as the word "undefined". */
function definedOf(headers: ClientSettings['headers']): Record<string, string> {
  const defined: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) if (value != null) defined[name] = value;
  return defined;
}

/** Of an answer that is none: its status, its text, and its header `Retry-After`. */
function toError(status: number, text: string, after: string | null): Error {
  if (status !== 429) return new Error(`${status} ${text.slice(0, 500)}`);
  // Seconds, or a date.
  let ms = Number(after) * 1_000;
  // All that are told the same moment would come back at once.
  ms ||= (Date.parse(after ?? '') - Date.now()) * (1 + Math.random() / 10);
  return new RateLimited(ms > 0 ? ms : undefined);
}
