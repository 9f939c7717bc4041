import { connect, createServer, type Socket } from 'node:net';
import type { Owner } from './owner.js';

/** What is to happen between a connection that came in and the one that was made for it. */
export type Join = (near: Socket, far: Socket) => void;

const passOn: Join = (near, far) => near.pipe(far).pipe(near);

/**
 * Stands between a Postgres and those who connect to it, until the test ends. `target`: its URL, asked for anew for each
 * connection. Resolves to the URL by which it is passed.
 */
export async function startTcpProxy(t: Owner, target: () => string, join: Join = passOn): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const { hostname, port } = new URL(target());
    const far = connect(Number(port), hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    join(near, far);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  const url = new URL(target());
  url.port = String(typeof address === 'object' ? address?.port : '');
  return url.href;
}
