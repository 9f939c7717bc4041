import type { ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

const intervalMs = 200;
/** Ms that a connection gets on which nothing has come so far, because a first request may be on its way. */
const maxSilence = intervalMs;
/**
 * Ms without a byte that a connection gets after half of a request, because the other half may come over a slow line.
 */
const maxPause = 3_000;

/**
 * Closes connections that have no answer under way when the server stops. Clients open connections in advance: browsers
 * and proxies for a second request, undici after an aborted one. Others send half of a request and no more, or keep an
 * HTTP/2 session open. A server that closes ends connections that are idle after an answer, but would wait for these:
 * more than a minute, or for ever, because Node's timeouts for requests end with the close.
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
    // With TLS, requests come through a second socket; the bytes of the handshake count on the one below it.
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

  /**
   * Until the server has closed, closes every connection that stays silent for too long, also those that open later.
   */
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
    // The timer is unref'd: open sockets keep the process alive until the timer has closed them.
    this.#timer ??= setInterval(() => {
      closeSilent();
      // Requests under way in an HTTP/2 session still get their answers.
      for (const session of this.#sessions) if (!session.closed) session.close();
    }, intervalMs).unref();
    this.server.once('close', () => clearInterval(this.#timer));
  }
}

/** A socket on which no byte has come since `since` (ms of performance.now()). */
interface Silence {
  bytesRead: number;
  since: number;
}

/**
 * True if no byte came on a socket, or a request is incomplete or there is none. Node has no public API for the latter:
 * a socket of HTTP/1 has a `parser` (one that was upgraded no longer has), and `_httpMessage` is the answer under way.
 */
function isSilent(socket: Socket): boolean {
  if (socket.bytesRead === 0) return true;
  return 'parser' in socket && !!socket.parser && !('_httpMessage' in socket && socket._httpMessage);
}
