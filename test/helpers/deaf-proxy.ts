import { setTimeout as delay } from 'node:timers/promises';
import type { Owner } from './owner.js';
import { startTcpProxy } from './tcp-proxy.js';

/**
 * A way to a Postgres that can swallow notifications and nothing else, as a pooler in transaction mode does, or let them
 * wait, and with them what comes after.
 */
export interface DeafProxy {
  readonly url: string;
  isDeaf: boolean;
  /** Ms that each notification waits. */
  wait: number;
  /** Notifications swallowed so far. */
  readonly swallowed: number;
}

const notification = 'A'.charCodeAt(0);

export async function startDeafProxy(t: Owner, target: string): Promise<DeafProxy> {
  const proxy = { url: '', isDeaf: false, wait: 0, swallowed: 0 };
  proxy.url = await startTcpProxy(
    t,
    () => target,
    (near, far) => {
      near.on('data', (data) => far.write(data));
      // Messages of Postgres: a byte for the type, four for the length, which counts itself, and the rest.
      let rest = Buffer.alloc(0);
      let before: Promise<unknown> = Promise.resolve();
      far.on('data', (data) => {
        rest = Buffer.concat([rest, data]);
        while (rest.length >= 5 && rest.length > rest.readInt32BE(1)) {
          const message = rest.subarray(0, 1 + rest.readInt32BE(1));
          rest = rest.subarray(message.length);
          if (proxy.isDeaf && message[0] === notification) proxy.swallowed++;
          else if (proxy.wait === 0) near.write(message);
          else {
            if (message[0] === notification) before = before.then(() => delay(proxy.wait, undefined, { ref: false }));
            before = before.then(() => near.write(message));
          }
        }
      });
    },
  );
  return proxy;
}
