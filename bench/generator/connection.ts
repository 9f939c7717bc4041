import net from 'node:net';
import { type ResponseEvents, ResponseReader } from './response-reader.js';

export interface ConnectionEvents extends ResponseEvents {
  onOpen(): void;
  /** Closed by the other side, or broken. */
  onLost(reason: string): void;
}

// One for all connections of a thread: what is read is parsed before the next read begins.
const buffer = Buffer.allocUnsafe(256 * 1024);

/** A keep-alive HTTP connection to 127.0.0.1. */
export class Connection {
  readonly #socket: net.Socket;
  #closed = false;

  constructor(port: number, events: ConnectionEvents) {
    const reader = new ResponseReader(events);
    this.#socket = net.connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      onread: {
        buffer,
        callback: (length) => {
          if (!this.#closed) reader.push(buffer, length);
          return true;
        },
      },
    });
    const lost = (reason: string) => {
      if (this.#closed) return;
      this.#closed = true;
      events.onLost(reason);
    };
    this.#socket.on('connect', () => events.onOpen());
    this.#socket.on('error', (error) => lost(error.message));
    this.#socket.on('close', () => lost('closed by the server'));
  }

  send(request: string): void {
    this.#socket.write(request, 'latin1');
  }

  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }
}

export function postRequest(path: string, contentType: string, body: string, headers = ''): string {
  return (
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: ${contentType}\r\n${headers}` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  );
}
