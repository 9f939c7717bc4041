import { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';

type Response = FastifyReply['raw'];

/** What is under way for an answer, and over when its client hangs up. */
interface UnderWay {
  close(): void;
}

const stallTimeoutMs = 30_000;
const graceMs = 500;

/** Polls' answers, from the head of the request until the last byte has left or the client has hung up. */
export class OpenAnswers {
  readonly #open = new Map<Response, UnderWay | undefined>();
  readonly #leaving = new WeakSet<Response>();
  readonly #sweeper: NodeJS.Timeout;
  /** One for all answers, not to keep what each request has at hand. */
  readonly #onClose: (this: Response) => void;
  /** Those in line behind an earlier answer on their connection: Node does not tell them when it closes. */
  readonly #lines = new WeakMap<Socket, Set<Response>>();
  #onEmpty = () => {};

  /** `patience`: ms after which a client that takes nothing of an answer that has ended is cut off. */
  constructor(private readonly patience = stallTimeoutMs) {
    this.#sweeper = setInterval(() => this.#sweep(), patience / 3).unref();
    const remove = (response: Response) => this.#remove(response);
    this.#onClose = function () {
      remove(this);
    };
  }

  add(response: Response): void {
    const { socket } = response.req;
    // The client has hung up before, while hooks of the application were under way: nothing would tell of it.
    if (socket.destroyed) return;
    this.#open.set(response, undefined);
    response.on('close', this.#onClose);
    if (response instanceof ServerResponse && !response.socket) this.#putInLine(response, socket);
  }

  /** Closes what is under way for an answer when the client hangs up, in place of what was bound before. */
  bind(response: Response, underWay: UnderWay): void {
    this.#open.set(response, underWay);
  }

  /** False when the client has hung up, or has its answer. */
  has(response: Response): boolean {
    return this.#open.has(response);
  }

  /**
   * Answers whose head is yet to be sent say that their connection ends: a client, or a proxy, that asked the next thing on it
   * would be cut off. Not if others are in line behind: they are yet to be answered on that connection.
   */
  endConnections(): void {
    for (const response of this.#open.keys()) {
      const isInLine = (this.#lines.get(response.req.socket)?.size ?? 0) > 0;
      if (response instanceof ServerResponse && !response.headersSent && !isInLine) response.shouldKeepAlive = false;
    }
  }

  /**
   * Waits until answers that have ended have left, so that their connections are idle when the server closes those that
   * are: else it would wait for the clients to let go of them. Those that do not read, or whose request is yet to come in
   * or to be looked up, are cut off.
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
          // One that is still in line would not tell.
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

  /** Hardly an answer is seen here: those that are read have left by then. */
  #sweep(): void {
    for (const response of this.#open.keys()) {
      if (!response.writableEnded || this.#leaving.has(response)) continue;
      this.#leaving.add(response);
      this.#limitIdleness(response);
    }
  }

  /** By Node's own timeout, which begins again whenever the other end has taken something. */
  #limitIdleness(response: Response): void {
    response.setTimeout(this.patience, () => response.destroy());
    if (!(response instanceof ServerResponse)) return;
    const { socket } = response;
    // Node sets another one for the time between requests; but where keepAliveTimeout is 0, it would leave this one.
    response.once('finish', () => {
      if (socket?.timeout === this.patience) socket.setTimeout(0);
    });
  }
}
