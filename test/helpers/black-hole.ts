import type { Socket } from 'node:net';
import type { Owner } from './owner.js';
import { startTcpProxy } from './tcp-proxy.js';

/**
 * A way to a Postgres that can turn into a black hole: connections stay, or come about, and no byte passes, until it is
 * let through again.
 */
export interface BlackHole {
  readonly url: string;
  swallow(): void;
  letThrough(): void;
  /** Connections that come about from now on work. Those that were swallowed stay, and are dead. */
  letNewThrough(): void;
}

export async function startBlackHole(t: Owner, target: string): Promise<BlackHole> {
  const sockets = new Set<Socket>();
  let open = true;
  const url = await startTcpProxy(
    t,
    () => target,
    (near, far) => {
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(from);
        from.on('close', () => sockets.delete(from));
        if (!open) from.pause();
        from.on('data', (data) => to.write(data));
      }
    },
  );
  return {
    url,
    swallow() {
      open = false;
      for (const socket of sockets) socket.pause();
    },
    letNewThrough() {
      open = true;
      sockets.clear();
    },
    letThrough() {
      open = true;
      for (const socket of sockets) socket.resume();
    },
  };
}
