import Fastify, { type FastifyInstance } from 'fastify';
import type { Test } from 'tap';
import postbus from '../../src/fastify/index.js';
import { type Bus, createBus } from '../../src/index.js';
import { until } from './until.js';

/** A bus with its server, which can be started again on the same port; ended with the test. */
export class RestartableNode {
  #running: { app: FastifyInstance; bus: Bus } | undefined;
  #port = 0;

  constructor(
    t: Test,
    private readonly databaseUrl: string,
    private readonly prepare: (app: FastifyInstance) => void,
  ) {
    t.teardown(() => this.stop());
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const silent = { warn: () => {}, error: () => {} };
    const bus = createBus({ connectionString: this.databaseUrl, logger: silent });
    const app = Fastify();
    this.prepare(app);
    await app.register(postbus, { bus });
    this.#running = { app, bus };
    await app.ready();
    // Between two runs, the system may have lent the port to an outgoing connection.
    await until(() => this.#listen(app), `port ${this.#port} is free`);
  }

  /** As on a deploy. */
  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.app.close();
    await running?.bus.close();
  }

  /** As far as clients can tell: connections break wherever they are. */
  async crash(): Promise<void> {
    this.#running?.app.server.closeAllConnections();
    await this.stop();
  }

  async #listen({ server }: FastifyInstance): Promise<boolean> {
    const listening = new Promise<boolean>((resolve, reject) => {
      server.once('listening', () => resolve(true));
      server.once('error', (error: NodeJS.ErrnoException) =>
        error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
      );
    });
    server.listen(this.#port, '127.0.0.1');
    if (!(await listening)) return false;
    const address = server.address();
    if (typeof address === 'object' && address) this.#port = address.port;
    return true;
  }
}
