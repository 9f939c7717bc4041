import { once } from 'node:events';
import type { FastifyInstance } from 'fastify';
import type { Bus } from '../bus/bus.js';
import { errors } from '../foundation/errors.js';
import { createServer, type ServerOptions } from './create-server.js';

export interface Address {
  host: string;
  /** The port; 0 for a free one. */
  port: number;
}

/** Ms after which a stop cuts off answers that slow readers have not taken. */
const readerPatienceMs = 3_000;
/** Ms to wait for the bus to connect. After that, the server starts without it, and serves what it can. */
const connectPatienceMs = 2_000;

/** An HTTP server in this process. */
export class HttpServer {
  #app: FastifyInstance | undefined;

  constructor(
    private readonly options: ServerOptions,
    private readonly address: Address,
  ) {}

  /** Starts the server. Resolves to the port on which it listens. @throws POSTBUS_CANNOT_LISTEN */
  async start(): Promise<number> {
    const { host, port } = this.address;
    this.#app = await createServer(this.options);
    await this.#app.ready();
    await waitUntilConnected(this.#app.messageBus);
    try {
      await this.#app.listen({ host, port });
    } catch (error) {
      const reason = error instanceof Error && 'code' in error && reasons[String(error.code)];
      if (!reason) throw error;
      throw new errors.CANNOT_LISTEN(authority(this.address), reason);
    }
    const address = this.#app.server.address();
    return typeof address === 'object' ? (address?.port ?? 0) : 0;
  }

  async close(): Promise<void> {
    const cutOff = setTimeout(() => this.#app?.server.closeAllConnections(), readerPatienceMs);
    await this.#app?.close();
    clearTimeout(cutOff);
  }
}

/**
 * Waits until the bus is connected, usually some milliseconds, so that the first health check is not answered with 503.
 */
async function waitUntilConnected(bus: Bus): Promise<void> {
  if (bus.isConnected) return;
  await once(bus.events, 'connected', { signal: AbortSignal.timeout(connectPatienceMs) }).catch(() => {});
}

const reasons: Record<string, string> = {
  EADDRINUSE: 'the port is taken',
  EACCES: 'this user may not use the port',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of the host cannot be looked up',
};

export function authority({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
