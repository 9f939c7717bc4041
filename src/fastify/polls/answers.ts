import { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { emptyFrame, type Frame } from '../../messages/frame.js';

/** How a poll's answer reaches its client. */
export interface Answer {
  /** Sends the first frame. `parked`: more may follow. A stream calls `onSent` once all of the frame has left. */
  begin(frame: Frame, parked: boolean, onSent?: () => void): void;
  /** Sends the next messages. Returns true if the poll goes on waiting. */
  more(frame: Frame, onSent?: () => void): boolean;
  /** Ends the answer, with nothing new. */
  end(): void;
  fail(error: unknown): void;
}

// A client that reads too slowly may be this many bytes behind. Then it is cut off, and asks for the rest with the last
// id that it got. This is more than a page, with which a stream begins; otherwise the client might never get any
// further.
const maxBehind = 2 * 1024 * 1024;
const maxTextLength = 4096;

/** An answer in one piece: `application/json`. */
export class WholeAnswer implements Answer {
  constructor(private readonly reply: FastifyReply) {}

  begin(frame: Frame, _parked: boolean): void {
    this.#send(frame);
  }

  more(frame: Frame): boolean {
    this.#send(frame);
    return false;
  }

  end(): void {
    this.#send(emptyFrame);
  }

  fail(error: unknown): void {
    this.reply.send(error);
  }

  #send(frame: Frame): void {
    const { json } = frame;
    // Node sends headers and a short string in one piece, but headers and bytes in two.
    const body = json.length < maxTextLength ? json : frame.body;
    this.reply.header('content-type', 'application/json; charset=utf-8').send(body);
  }
}

/** A stream of frames, each ended by a separator. */
export class StreamedAnswer implements Answer {
  readonly #response: FastifyReply['raw'];
  /** Undefined once the stream has begun: from then on it bypasses Fastify, and need not keep the reply in memory. */
  #reply: FastifyReply | undefined;

  constructor(reply: FastifyReply) {
    this.#response = reply.raw;
    this.#reply = reply;
  }

  begin(frame: Frame, parked: boolean, onSent?: () => void): void {
    const reply = this.#reply;
    if (!reply) return;
    // An answer that does not wait is sent in one piece; the client tells the two apart by the content type.
    if (!parked) {
      new WholeAnswer(reply).begin(frame, parked);
      return;
    }
    this.#reply = undefined;
    reply.hijack();
    this.#response.writeHead(200, {
      ...definedHeaders(reply),
      'content-type': 'text/plain; charset=utf-8',
    });
    this.#response.write(frame.text, onSent);
  }

  more(frame: Frame, onSent?: () => void): boolean {
    const response = this.#response;
    const { socket } = response;
    // writableLength includes bytes that wait in the socket.
    if (response.writableLength > maxBehind) {
      response.destroy();
      return false;
    }
    // Write to the socket itself, because Node's response object would encode the same chunk again for every client.
    // The response object is needed for HTTP/2, and while an earlier answer on the connection is not complete
    // (pipelining).
    if (response instanceof ServerResponse && response.chunkedEncoding && socket) socket.write(frame.chunk, onSent);
    else response.write(frame.text, onSent);
    return true;
  }

  end(): void {
    this.#response.end(emptyFrame.text);
  }

  fail(error: unknown): void {
    this.#reply?.send(error);
  }
}

/** Returns the headers that hooks have set so far; hijacking would lose them. */
function definedHeaders(reply: FastifyReply): Record<string, string | number | string[]> {
  const headers: Record<string, string | number | string[]> = {};
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) headers[name] = value;
  return headers;
}
