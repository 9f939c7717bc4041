import type { StoredMessage } from './message.js';

const separator = '\r\n|\r\n';

/**
 * A JSON array of messages, as the protocol sends it. Its bytes are made once, when first asked for, and the same
 * Buffer goes to everyone.
 */
export class Frame {
  #body: Buffer | undefined;
  #chunk: Buffer | undefined;

  constructor(readonly json: string) {}

  /** The bytes of a whole answer. */
  get body(): Buffer {
    this.#body ??= Buffer.from(this.json);
    return this.#body;
  }

  /**
   * The bytes of one part of a stream, in HTTP's chunked encoding. The protocol doubles the bar of a separator that
   * occurs inside a frame; none can occur, because JSON as Postgres writes it never has a raw line break.
   */
  get chunk(): Buffer {
    if (this.#chunk === undefined) {
      const length = Buffer.byteLength(this.json) + separator.length;
      this.#chunk = Buffer.from(`${length.toString(16)}\r\n${this.json}${separator}\r\n`);
    }
    return this.#chunk;
  }

  /** The text of one part of a stream, without HTTP's chunked encoding. */
  get text(): string {
    return this.json + separator;
  }
}

export const emptyFrame = new Frame('[]');

/** Messages that follow each other in a feed, as they are handed to all of its cursors. */
export class Batch {
  #frame: Frame | undefined;
  /** True if every message is for everyone. */
  readonly isPublic: boolean;

  constructor(readonly messages: readonly StoredMessage[]) {
    this.isPublic = messages.every((message) => message.targets === null);
  }

  get frame(): Frame {
    this.#frame ??= new Frame(`[${this.messages.map((message) => message.wire).join(',')}]`);
    return this.#frame;
  }
}
