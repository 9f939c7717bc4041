import net from 'node:net';

const executions = new Set([...'QE'].map((letter) => letter.charCodeAt(0)));

/** Stands between a node and Postgres and counts the statements that are sent: simple queries and executions. */
export class StatementCounter {
  count = 0;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(private readonly target: { host: string; port: number }) {
    this.#server = net.createServer((client) => this.#relay(client));
  }

  /** Resolves to the counter and the URL by which it is passed. */
  static async start(databaseUrl: string): Promise<{ counter: StatementCounter; url: string }> {
    const url = new URL(databaseUrl);
    const counter = new StatementCounter({ host: url.hostname, port: Number(url.port) });
    await new Promise<void>((resolve) => counter.#server.listen(0, '127.0.0.1', resolve));
    const address = counter.#server.address();
    if (address !== null && typeof address === 'object') url.port = String(address.port);
    return { counter, url: url.href };
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #relay(client: net.Socket): void {
    const postgres = net.connect({ ...this.target, noDelay: true });
    client.setNoDelay(true);
    const read = this.#reader();
    client.on('data', read);
    client.pipe(postgres);
    postgres.pipe(client);
    for (const [socket, other] of [
      [client, postgres],
      [postgres, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }

  /** Follows the messages of one connection: a type (but for the first) and a length that counts itself. */
  #reader(): (bytes: Buffer) => void {
    let rest: Buffer = Buffer.alloc(0);
    let isFirst = true;
    let skip = 0;
    return (bytes) => {
      rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
      for (;;) {
        const skipped = Math.min(skip, rest.length);
        skip -= skipped;
        rest = rest.subarray(skipped);
        const typed = isFirst ? 0 : 1;
        if (skip > 0 || rest.length < typed + 4) return;
        if (!isFirst && executions.has(rest[0] ?? 0)) this.count++;
        skip = typed + rest.readInt32BE(typed);
        isFirst = false;
      }
    };
  }
}
