import type { ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

const intervalMs = 200;
/** A request may just be on its way to a connection on which nothing came so far; */
const maxSilence = intervalMs;
/** and half of one waits for the other half, over a slow line for example. */
const maxPause = 3_000;

/**
 * Connections on which nothing is under way. Clients open them in advance: browsers and proxies for a second request, undici
 * after one that was aborted. Others send half of a request and no more, or keep a session of HTTP/2. A server that closes ends
 * what is idle after an answer, but would wait for these: more than a minute, or for ever, because Node's timeouts for
 * requests end with the close.
 */
export class SilentConnections {
  readonly #sockets = new Set<Socket>();
  readonly #sessions = new Set<ServerHttp2Session>();
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly server: FastifyInstance['server']) {
    const forget = (socket: Socket) => this.#sockets.delete(socket);
    const onClose = function (this: Socket) {
      forget(this);
    };
    // With TLS, there is another socket for what is asked; the one below has read the handshake.
    for (const event of ['connection', 'secureConnection'])
      server.on(event, (socket: Socket) => {
        this.#sockets.add(socket);
        socket.once('close', onClose);
      });
    server.on('session', (session: ServerHttp2Session) => {
      this.#sessions.add(session);
      session.once('close', () => this.#sessions.delete(session));
    });
  }

  /** Each that is silent has some time left, those that come later too, until the server has closed. */
  close(): void {
    let before = new Map<Socket, Silence>();
    const closeSilent = () => {
      const now = performance.now();
      const silent = new Map<Socket, Silence>();
      for (const socket of this.#sockets) {
        if (!isSilent(socket)) continue;
        const { bytesRead } = socket;
        const known = before.get(socket);
        const silence = known?.bytesRead === bytesRead ? known : { bytesRead, since: now };
        if (now - silence.since >= (bytesRead === 0 ? maxSilence : maxPause)) socket.destroy();
        else silent.set(socket, silence);
      }
      before = silent;
    };
    closeSilent();
    // Sockets that are open keep the process alive, until the timer has closed them.
    this.#timer ??= setInterval(() => {
      closeSilent();
      // What is under way in a session still gets its answer.
      for (const session of this.#sessions) if (!session.closed) session.close();
    }, intervalMs).unref();
    this.server.once('close', () => clearInterval(this.#timer));
  }
}

/** Nothing more has come since then, in ms of performance.now(). */
interface Silence {
  bytesRead: number;
  since: number;
}

/**
 * Nothing came, or half of a request. For the latter Node has no public word: a socket of HTTP/1 has a parser (one that was
 * upgraded no longer has), and `_httpMessage`, the answer that is under way.
 */
function isSilent(socket: Socket): boolean {
  if (socket.bytesRead === 0) return true;
  return 'parser' in socket && !!socket.parser && !('_httpMessage' in socket && socket._httpMessage);
}
