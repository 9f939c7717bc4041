import { now } from './clock.js';
import { Connection, postRequest } from './connection.js';
import { type FrameDecoder, FrameSplitter } from './frames.js';
import type { Tally } from './tally.js';

export type Mode = 'stream' | 'long poll';

export interface Surroundings {
  mode: Mode;
  decoder: FrameDecoder;
  /** The tally of the phase under way. */
  tally: () => Tally;
}

const reconnectMs = 20;
const retryMs = 200;

/** A client that polls one channel, again as soon as it has an answer. */
export class Subscriber {
  /** Id of the last message received; -1 until the server has told. */
  position = -1;
  /** Whether the server has, or is being sent, a poll that waits for the next message. */
  isReady = false;
  #sequence = 0;
  #connection: Connection | undefined;
  #splitter = new FrameSplitter();
  #status = 0;
  #streaming = false;
  #body = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly port: number,
    private readonly clientId: string,
    private readonly channel: string,
    private readonly surroundings: Surroundings,
  ) {}

  open(): void {
    this.#splitter.reset();
    this.#body = '';
    this.#connection = new Connection(this.port, {
      onOpen: () => this.#poll(),
      onHead: (status, head) => {
        this.#status = status;
        this.#streaming = head.includes('\r\ncontent-type: text/plain');
      },
      onBody: (text) => {
        if (this.#streaming && this.#status === 200) this.#receive(this.#splitter.push(text));
        else this.#body += text;
      },
      onEnd: () => this.#answered(),
      onLost: (reason) => {
        this.surroundings.tally().trouble(reason);
        this.#timer = setTimeout(() => this.open(), reconnectMs);
      },
    });
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#connection?.close();
  }

  #poll(): void {
    const { mode } = this.surroundings;
    const body = `${encodeURIComponent(this.channel)}=${this.position}&__seq=${++this.#sequence}`;
    const path = `/message-bus/${this.clientId}/poll`;
    const headers = mode === 'long poll' ? 'Dont-Chunk: true\r\n' : '';
    this.#connection?.send(postRequest(path, 'application/x-www-form-urlencoded', body, headers));
    if (mode === 'long poll' && this.position >= 0) this.isReady = true;
  }

  #answered(): void {
    const body = this.#body;
    this.#body = '';
    if (this.#status !== 200) {
      this.surroundings.tally().trouble(`answer ${this.#status}`);
      this.#timer = setTimeout(() => this.#poll(), retryMs);
      return;
    }
    this.#receive(body);
    this.#poll();
  }

  #receive(text: string): void {
    if (text === '') return;
    const { decoder, mode, tally } = this.surroundings;
    const frame = decoder.decode(text);
    if (mode === 'stream') this.isReady = true;
    const told = frame.status?.[this.channel];
    if (told !== undefined && this.position === -1) this.position = told;
    this.position = tally().take(this.channel, this.position, frame, now());
  }
}
