import { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';

type Response = FastifyReply['raw'];

/** Work for an answer, which ends if the client hangs up. */
interface UnderWay {
  close(): void;
}

const stallTimeoutMs = 30_000;
const graceMs = 500;

/** The answers of polls, from the head of the request until the last byte has left or the client has hung up. */
export class OpenAnswers {
  readonly #open = new Map<Response, UnderWay | undefined>();
  readonly #leaving = new WeakSet<Response>();
  readonly #sweeper: NodeJS.Timeout;
  /** One listener for all answers: a closure for each would keep its request in memory. */
  readonly #onClose: (this: Response) => void;
  /**
   * Answers in line behind an earlier one on their connection (pipelining): Node does not emit `close` on them if the
   * connection closes.
   */
  readonly #lines = new WeakMap<Socket, Set<Response>>();
  #onEmpty = () => {};

  /** `patience`: ms after which a client that takes no byte of an answer that has ended is cut off. */
  constructor(private readonly patience = stallTimeoutMs) {
    this.#sweeper = setInterval(() => this.#sweep(), patience / 3).unref();
    const remove = (response: Response) => this.#remove(response);
    this.#onClose = function () {
      remove(this);
    };
  }

  add(response: Response): void {
    const { socket } = response.req;
    // The client hung up earlier, while hooks of the application were running: there will be no `close` event.
    if (socket.destroyed) return;
    this.#open.set(response, undefined);
    response.on('close', this.#onClose);
    if (response instanceof ServerResponse && !response.socket) this.#putInLine(response, socket);
  }

  /** If the client hangs up, closes `underWay`, instead of what was bound to the answer before. */
  bind(response: Response, underWay: UnderWay): void {
    this.#open.set(response, underWay);
  }

  /** False if the client has hung up, or has its whole answer. */
  has(response: Response): boolean {
    return this.#open.has(response);
  }

  /**
   * Makes answers whose head has not been sent say that their connection ends, because a client or proxy that sent
   * another request on it would be cut off. Exception: if other answers are in line behind one, they still need the
   * connection.
   */
  endConnections(): void {
    for (const response of this.#open.keys()) {
      const isInLine = (this.#lines.get(response.req.socket)?.size ?? 0) > 0;
      if (response instanceof ServerResponse && !response.headersSent && !isInLine) response.shouldKeepAlive = false;
    }
  }

  /**
   * Waits until answers that have ended have left, so that their connections are idle when the server closes idle
   * connections; otherwise it would wait for the clients to close them. After 500 ms, answers whose clients do not
   * read, and requests that have not been read or looked up, are cut off.
   */
  async drain(): Promise<void> {
    clearInterval(this.#sweeper);
    if (this.#open.size === 0) return;
    let cutOff: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      cutOff = setTimeout(() => {
        for (const response of this.#open.keys()) {
          response.destroy();
          // Node emits no `close` on an answer that is still in line.
          this.#remove(response);
        }
      }, graceMs);
    });
    clearTimeout(cutOff);
  }

  #remove(response: Response): void {
    if (!this.#open.has(response)) return;
    this.#open.get(response)?.close();
    this.#open.delete(response);
    this.#lines.get(response.req.socket)?.delete(response);
    if (this.#open.size === 0) this.#onEmpty();
  }

  #putInLine(response: Response, socket: Socket): void {
    let line = this.#lines.get(socket);
    if (line === undefined) {
      const all = new Set<Response>();
      socket.once('close', () => {
        for (const each of all) this.#remove(each);
      });
      this.#lines.set(socket, all);
      line = all;
    }
    line.add(response);
  }

  /**
   * Limits the time of answers that have ended and not left. There are few: clients that read have taken theirs by the
   * next sweep.
   */
  #sweep(): void {
    for (const response of this.#open.keys()) {
      if (!response.writableEnded || this.#leaving.has(response)) continue;
      this.#leaving.add(response);
      this.#limitIdleness(response);
    }
  }

  /** Uses Node's own timeout, which restarts each time the client takes bytes. */
  #limitIdleness(response: Response): void {
    response.setTimeout(this.patience, () => response.destroy());
    if (!(response instanceof ServerResponse)) return;
    const { socket } = response;
    // After an answer Node replaces this timeout by keepAliveTimeout; but if that is 0, this one would stay.
    response.once('finish', () => {
      if (socket?.timeout === this.patience) socket.setTimeout(0);
    });
  }
}
