import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** A request may just be on its way. */
const patienceMs = 200;

/**
 * Connections on which nothing has been asked. Clients open them in advance: browsers and proxies for a second request, undici
 * after one that was aborted. A server that closes ends what is idle after an answer, but would wait more than a minute for
 * the first request of these.
 */
export class SilentConnections {
  readonly #sockets = new Set<Socket>();
  #isClosing = false;

  constructor(server: FastifyInstance['server']) {
    const forget = (socket: Socket) => this.#sockets.delete(socket);
    const onClose = function (this: Socket) {
      forget(this);
    };
    // With TLS, there is another socket for what is asked; the one below has read the handshake.
    for (const event of ['connection', 'secureConnection'])
      server.on(event, (socket: Socket) => {
        this.#sockets.add(socket);
        socket.once('close', onClose);
        if (this.#isClosing) this.#closeSoon();
      });
  }

  /** From now on each has some time left. */
  close(): void {
    this.#isClosing = true;
    this.#closeSoon();
  }

  #closeSoon(): void {
    const silent = [...this.#sockets].filter(isSilent);
    // Sockets that are open keep the process alive, until the timer has closed them.
    setTimeout(() => {
      for (const socket of silent) if (isSilent(socket)) socket.destroy();
    }, patienceMs).unref();
  }
}

function isSilent(socket: Socket): boolean {
  return socket.bytesRead === 0;
}
