import type { Socket } from 'node:net';
import { startTcpProxy } from '../../helpers/tcp-proxy.js';
import type { Stage } from '../stage.js';

/** A way to Postgres whose connections can become half-open, as behind a firewall that forgets them. */
export class Way {
  url = '';
  readonly #pairs = new Set<readonly [Socket, Socket]>();

  static async open(stage: Stage, target: string): Promise<Way> {
    const way = new Way();
    way.url = await startTcpProxy(
      stage,
      () => target,
      (near, far) => way.#join(near, far),
    );
    return way;
  }

  /**
   * On the connections that there are, no byte passes any more, and neither side is told. New ones work. Answers how many.
   */
  goDead(): number {
    const count = this.#pairs.size;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
    this.#pairs.clear();
    return count;
  }

  #join(near: Socket, far: Socket): void {
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    near.on('data', (data) => far.write(data));
    far.on('data', (data) => near.write(data));
    near.on('close', () => this.#pairs.delete(pair));
  }
}
