export interface ResponseEvents {
  onHead(status: number, head: string): void;
  /** A piece of the body; bytes as latin1 characters. */
  onBody(text: string): void;
  onEnd(): void;
}

type State = 'head' | 'body' | 'chunk size' | 'chunk' | 'chunk end' | 'trailer';

const lineFeed = 10;

/** Reads HTTP/1.1 responses as they come, in whatever pieces. */
export class ResponseReader {
  #state: State = 'head';
  #head = '';
  /** Bytes that are still to come of the body, the chunk, or the line end behind it. */
  #left = 0;
  #lineLength = 0;

  constructor(private readonly events: ResponseEvents) {}

  push(bytes: Buffer, length: number): void {
    let at = 0;
    while (at < length) {
      if (this.#state === 'head') at = this.#readHead(bytes, at, length);
      else if (this.#state === 'chunk size') at = this.#readChunkSize(bytes, at, length);
      else if (this.#state === 'trailer') at = this.#readTrailer(bytes, at, length);
      else at = this.#readCounted(bytes, at, length);
    }
  }

  #readHead(bytes: Buffer, at: number, length: number): number {
    const before = this.#head.length;
    this.#head += bytes.toString('latin1', at, length);
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) return length;
    const head = this.#head.slice(0, end).toLowerCase();
    this.#head = '';
    this.events.onHead(Number(head.slice(9, 12)), head);
    if (head.includes('\r\ntransfer-encoding: chunked')) {
      this.#expectChunk();
    } else {
      this.#left = Number(/\r\ncontent-length: *(\d+)/.exec(head)?.[1] ?? 0);
      this.#state = 'body';
      if (this.#left === 0) this.#end();
    }
    return at + end + 4 - before;
  }

  #readCounted(bytes: Buffer, at: number, length: number): number {
    const end = Math.min(length, at + this.#left);
    this.#left -= end - at;
    const isPadding = this.#state === 'chunk end';
    if (!isPadding) this.events.onBody(bytes.toString('latin1', at, end));
    if (this.#left > 0) return end;
    if (this.#state === 'body') {
      this.#end();
    } else if (isPadding) {
      this.#expectChunk();
    } else {
      this.#state = 'chunk end';
      this.#left = 2;
    }
    return end;
  }

  #readChunkSize(bytes: Buffer, start: number, length: number): number {
    for (let at = start; at < length; at++) {
      const byte = bytes[at] ?? 0;
      if (byte === lineFeed) {
        this.#state = this.#left === 0 ? 'trailer' : 'chunk';
        this.#lineLength = 0;
        return at + 1;
      }
      const digit = hexDigit(byte);
      if (digit >= 0) this.#left = this.#left * 16 + digit;
    }
    return length;
  }

  #readTrailer(bytes: Buffer, start: number, length: number): number {
    for (let at = start; at < length; at++) {
      if (bytes[at] !== lineFeed) {
        this.#lineLength++;
      } else if (this.#lineLength <= 1) {
        this.#end();
        return at + 1;
      } else {
        this.#lineLength = 0;
      }
    }
    return length;
  }

  #expectChunk(): void {
    this.#state = 'chunk size';
    this.#left = 0;
  }

  #end(): void {
    this.#state = 'head';
    this.events.onEnd();
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
