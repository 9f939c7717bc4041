import { once } from 'node:events';
import { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { Poll } from './poll.js';

type Response = FastifyReply['raw'];

const patienceMs = 30_000;
const graceMs = 500;

/** Polls' answers, from the request until the last byte has left or the client has hung up. */
export class OpenAnswers {
  readonly #open = new Map<Response, Poll | undefined>();
  readonly #leaving = new WeakSet<Response>();
  readonly #sweeper: NodeJS.Timeout;
  /** One for all answers, not to keep what each request has at hand. */
  readonly #onClose: (this: Response) => void;

  /** `patience`: ms after which a client that takes nothing of an answer that has ended is cut off. */
  constructor(private readonly patience = patienceMs) {
    this.#sweeper = setInterval(() => this.#sweep(), patience / 3).unref();
    const open = this.#open;
    this.#onClose = function () {
      open.get(this)?.close();
      open.delete(this);
    };
  }

  add(response: Response): void {
    this.#open.set(response, undefined);
    response.on('close', this.#onClose);
  }

  /** The poll that it answers: over when the client hangs up. */
  bind(response: Response, poll: Poll): void {
    this.#open.set(response, poll);
  }

  /** False when the client has hung up, or has its answer. */
  has(response: Response): boolean {
    return this.#open.has(response);
  }

  /**
   * Waits until answers that have ended have left, so that their connections are idle when the server closes those that
   * are: else it would wait for the clients to let go of them. Clients that do not read are cut off.
   */
  async drain(): Promise<void> {
    clearInterval(this.#sweeper);
    const cutOff = setTimeout(() => {
      for (const response of this.#open.keys()) response.destroy();
    }, graceMs);
    await Promise.all([...this.#open.keys()].map((response) => once(response, 'close')));
    clearTimeout(cutOff);
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
