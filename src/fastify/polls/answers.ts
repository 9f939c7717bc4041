import { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { emptyFrame, type Frame } from '../../messages/frame.js';

/** How a poll's answer reaches its client. */
export interface Answer {
  /** The first thing that the client is told; `parked` if more may follow. A stream calls `onSent` when all of it has left. */
  begin(frame: Frame, parked: boolean, onSent?: () => void): void;
  /** Sends the next messages; returns true if the poll goes on to wait. */
  more(frame: Frame, onSent?: () => void): boolean;
  /** The end of the wait, with nothing new. */
  end(): void;
  fail(error: unknown): void;
}

// A client that reads slower than it is sent to may be so many bytes behind; then it is cut off, and comes back for
// the rest with the id that it got to. More than a stream begins with, or it might never get further.
const maxBehind = 2 * 1024 * 1024;
const maxTextLength = 4096;

/** An answer of one piece: `application/json`. */
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
    // Node sends headers and a short text in one piece; bytes, in two.
    const body = json.length < maxTextLength ? json : frame.body;
    this.reply.header('content-type', 'application/json; charset=utf-8').send(body);
  }
}

/** A stream of frames, each ended by a separator. */
export class StreamedAnswer implements Answer {
  readonly #response: FastifyReply['raw'];
  /** Until it begins: a stream goes past Fastify, and keeps nothing of it. */
  #reply: FastifyReply | undefined;

  constructor(reply: FastifyReply) {
    this.#response = reply.raw;
    this.#reply = reply;
  }

  begin(frame: Frame, parked: boolean, onSent?: () => void): void {
    const reply = this.#reply;
    if (!reply) return;
    // What does not wait is no stream; the client tells by the content type.
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
    // What waits in the socket is counted in.
    if (response.writableLength > maxBehind) {
      response.destroy();
      return false;
    }
    // Past Node's response object, which would encode the same chunk again for every client. Where there is another
    // kind of response (HTTP/2), or an earlier answer on the connection is not through (pipelining), it has to.
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

/** What hooks have set so far: hijacking would lose it. */
function definedHeaders(reply: FastifyReply): Record<string, string | number | string[]> {
  const headers: Record<string, string | number | string[]> = {};
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) headers[name] = value;
  return headers;
}
