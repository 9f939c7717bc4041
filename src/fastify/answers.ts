import type { FastifyReply } from 'fastify';
import type { Answer } from './poll.js';

const frameEnd = '\r\n|\r\n';
// A client that reads slower than it is sent to may be so many bytes behind; then it is cut off, and comes back for
// the rest with the id that it got to.
const maxBehind = 1024 * 1024;

/** An answer of one piece: `application/json`. */
export class WholeAnswer implements Answer {
  constructor(protected readonly reply: FastifyReply) {}

  begin(frame: string, _parked: boolean): void {
    this.#send(frame);
  }

  more(frame: string): boolean {
    this.#send(frame);
    return false;
  }

  end(): void {
    this.#send('[]');
  }

  fail(error: unknown): void {
    this.reply.send(error);
  }

  #send(frame: string): void {
    this.reply.header('content-type', 'application/json; charset=utf-8').send(frame);
  }
}

/**
 * A stream of frames, each ended by a separator. The protocol doubles the bar of a separator inside a frame; JSON as
 * Postgres writes it never has a raw line break, so none can be.
 */
export class StreamedAnswer extends WholeAnswer {
  override begin(frame: string, parked: boolean): void {
    // What may not wait is no stream; the client tells by the content type.
    if (!parked) {
      super.begin(frame, parked);
      return;
    }
    this.reply.hijack();
    this.reply.raw.writeHead(200, {
      ...definedHeaders(this.reply),
      'content-type': 'text/plain; charset=utf-8',
      'x-content-type-options': 'nosniff',
    });
    this.reply.raw.write(frame + frameEnd);
  }

  override more(frame: string): boolean {
    const { raw } = this.reply;
    if (raw.writableLength > maxBehind) {
      raw.destroy();
      return false;
    }
    raw.write(frame + frameEnd);
    return true;
  }

  override end(): void {
    this.reply.raw.end(`[]${frameEnd}`);
  }
}

/** What hooks have set so far: hijacking would lose it. */
function definedHeaders(reply: FastifyReply): Record<string, string | number | string[]> {
  const headers: Record<string, string | number | string[]> = {};
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) headers[name] = value;
  return headers;
}
