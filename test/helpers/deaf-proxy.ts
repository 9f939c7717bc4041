import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';

/**
 * A way to a Postgres that can swallow notifications and nothing else, as a pooler in transaction mode does, or let them
 * wait, and with them what comes after; or stay open and let nothing through any more, as where a machine in between has
 * died. What came meanwhile arrives when it lives again.
 */
export interface DeafProxy {
  readonly url: string;
  isDeaf: boolean;
  /** Ms that each notification waits. */
  wait: number;
  isDead: boolean;
  /** Notifications swallowed so far. */
  readonly swallowed: number;
}

const notification = 'A'.charCodeAt(0);

export async function startDeafProxy(t: Test, target: string): Promise<DeafProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const held: (() => void)[] = [];
  let isDead = false;
  /** Does it now, or once the proxy lives. */
  const pass = (act: () => void) => void (isDead ? held.push(act) : act());
  const proxy = {
    url: '',
    isDeaf: false,
    wait: 0,
    swallowed: 0,
    get isDead() {
      return isDead;
    },
    set isDead(value) {
      isDead = value;
      if (!isDead) for (const act of held.splice(0)) act();
    },
  };
  const server = createServer((near) => {
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
    near.on('data', (data) => pass(() => far.write(data)));
    // Messages of Postgres: a byte for the type, four for the length, which counts itself, and the rest.
    let rest = Buffer.alloc(0);
    let before: Promise<unknown> = Promise.resolve();
    far.on('data', (data) => {
      rest = Buffer.concat([rest, data]);
      while (rest.length >= 5 && rest.length > rest.readInt32BE(1)) {
        const message = rest.subarray(0, 1 + rest.readInt32BE(1));
        rest = rest.subarray(message.length);
        if (proxy.isDeaf && message[0] === notification) proxy.swallowed++;
        else if (proxy.wait === 0) pass(() => near.write(message));
        else {
          if (message[0] === notification) before = before.then(() => delay(proxy.wait, undefined, { ref: false }));
          before = before.then(() => pass(() => near.write(message)));
        }
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  const url = new URL(target);
  url.port = String(typeof address === 'object' ? address?.port : '');
  proxy.url = url.href;
  return proxy;
}
