import { type ServerOptions as HttpOptions, ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { errors } from '../foundation/errors.js';

/** Limits for the time in which a request arrives, in ms. */
export interface RequestTimes {
  head: number;
  /** Ms from the first byte of the head to the last byte of the body. */
  request: number;
  /** Ms between Node's checks for requests that are late. */
  check: number;
}

export const requestTimes: RequestTimes = { head: 15_000, request: 30_000, check: 1_000 };

/**
 * Returns options for Node's HTTP server. A request without a Host header is let in, because Node's own answer to it
 * has no code; createServer() refuses it.
 */
export function httpOptions({ head, request, check }: RequestTimes): HttpOptions {
  return {
    headersTimeout: head,
    requestTimeout: request,
    connectionsCheckingInterval: check,
    requireHostHeader: false,
  };
}

/** Answers a request that could not be read: it was too slow, too large, or not HTTP. Then closes the connection. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  if (socket.writable && !hasAnswerBegun(socket)) {
    const { statusCode = 400, code, message } = toCodedError(error.code);
    const body = JSON.stringify({ statusCode, code, error: STATUS_CODES[statusCode], message });
    socket.write(
      `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}\r\ncontent-type: application/json; charset=utf-8\r\n` +
        `x-content-type-options: nosniff\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroy(error);
}

function toCodedError(code: string | undefined) {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new errors.SLOW_REQUEST();
  return code === 'HPE_HEADER_OVERFLOW' ? new errors.LARGE_HEAD() : new errors.BAD_REQUEST();
}

/** True if an answer on this connection has begun: an error would be taken for a part of that answer. */
function hasAnswerBegun(socket: Socket): boolean {
  const answer: unknown = '_httpMessage' in socket ? socket._httpMessage : undefined;
  return answer instanceof ServerResponse && answer.headersSent;
}
